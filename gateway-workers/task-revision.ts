import * as z from 'zod';

const answerWithinMs = 2000;

/** The part that is read of what ECS tells a container about its task (task metadata endpoint, version 4). */
const taskMetadata = z.object({ Revision: z.string().regex(/^\d{1,12}$/) });

/**
 * The revision of the ECS task definition that this container runs, as a release that sorts by age: ECS counts
 * revisions up, and a deployment makes a new one. `undefined` outside of ECS.
 * @throws when ECS gives no answer, or another one than documented, within two seconds.
 */
export async function readTaskRevision(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const endpoint = env['ECS_CONTAINER_METADATA_URI_V4'];
  if (endpoint === undefined) return undefined;
  const response = await fetch(`${endpoint}/task`, { signal: AbortSignal.timeout(answerWithinMs) });
  return taskMetadata.parse(await response.json()).Revision.padStart(12, '0');
}
