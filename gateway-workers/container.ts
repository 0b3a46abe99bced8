import { runWorker } from './main.ts';

/** What the container image runs. A connection that is still closing must not keep a drained worker alive. */
process.exit(await runWorker(process.env));
