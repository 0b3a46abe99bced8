// The parent that embedded-cloud.integration.test.ts kills: starts the cloud, says where it is, and waits.
import { startEmbeddedCloud } from '../../../local/cloud/embedded-cloud.ts';

const cloud = await startEmbeddedCloud();
process.send?.({ pids: cloud.pids });
setInterval(() => {}, 60_000);
