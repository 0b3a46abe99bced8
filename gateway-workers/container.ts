import { messageOf } from '../shared/errors.ts';
import { runWorker } from './main.ts';
import { readTaskRevision } from './task-revision.ts';

/** What the container image runs: a worker that knows its release by the revision of its task definition. */
async function main(env: NodeJS.ProcessEnv): Promise<number> {
  return runWorker({ BATON_RELEASE: await revisionOf(env), ...env });
}

/** A worker without a release still works; drains only prefer no newer one over it. */
async function revisionOf(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    return await readTaskRevision(env);
  } catch (error) {
    process.stderr.write(`baton worker: ECS does not tell the task's revision: ${messageOf(error)}\n`);
    return undefined;
  }
}

// A connection that is still closing must not keep a drained worker alive.
process.exit(await main(process.env));
