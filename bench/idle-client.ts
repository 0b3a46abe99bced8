import type { ReceiveArguments } from './receive-client.ts';
import { peerReceivers } from './peer-receivers.ts';
import { ownReceivers } from './receivers.ts';

/** What a process with idle connections holds, after a garbage collection. */
export interface IdleResult {
  readonly rssBytes: number;
  /** JavaScript objects and the memory of buffers: what RSS leaves blurred. */
  readonly ownBytes: number;
}

process.on('disconnect', () => process.exit(0));
const { receiver, ...task } = JSON.parse(process.argv[2] as string) as ReceiveArguments;
const receive = ownReceivers[receiver] ?? peerReceivers[receiver]?.receive;
if (receive === undefined) throw new Error(`no receiver ${receiver}`);

process.on('message', () => {
  // As V8 does by itself when a process has been idle for a while: pages go back to the system.
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  const { rss, heapUsed, external } = process.memoryUsage();
  const result: IdleResult = { rssBytes: rss, ownBytes: heapUsed + external };
  process.send?.(result);
});
await receive({ ...task, onEvent() {} });
