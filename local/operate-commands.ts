import { BatonError } from '../shared/errors.ts';
import { missingLine } from '../shared/control/answers.ts';
import { asOperator } from './as-operator.ts';
import { withFleet } from './fleet-client.ts';

export interface OperateOptions {
  readonly json: boolean;
}

/** Progress goes to stderr: stdout is for the result. */
function onProgress(line: string): void {
  process.stderr.write(`${line}\n`);
}

function print({ json }: OperateOptions, result: object, line: string): void {
  console.log(json ? JSON.stringify(result) : line);
}

/** `baton migrate`. @throws {BatonError} as `FleetOperations.migrate`. */
export async function migrate(shard: number, to: string, options: OperateOptions): Promise<void> {
  await withFleet(process.env, async ({ operations, timeline }) => {
    const migration = await asOperator(timeline, { kind: 'migrate', shard, to }, () =>
      operations.migrate(shard, to, { onProgress }),
    );
    const { from, to: target, moved, tookMs } = migration;
    const line = moved
      ? `Shard ${shard} went from ${from} to ${target} in ${tookMs} ms.`
      : `Shard ${shard} was at ${target} already.`;
    print(options, migration, line);
  });
}

/** `baton drain`. @throws {BatonError} as `FleetOperations.drain`. */
export async function drain(worker: string, options: OperateOptions): Promise<void> {
  await withFleet(process.env, async ({ operations, timeline }) => {
    const drained = await asOperator(timeline, { kind: 'drain', worker }, () =>
      operations.drain(worker, { onProgress }),
    );
    const { shards, unheld, tookMs } = drained;
    const rest = unheld === 0 ? '' : ` ${unheld} shards of the fleet wait for a worker with room.`;
    print(options, drained, `${drained.worker} handed ${shards} shards over in ${tookMs} ms and has ended.${rest}`);
  });
}

/** `baton respawn`. @throws {BatonError} `REQUEST_FAILED` when the shard was not up again in time, and as `Fleet.askShards`. */
export async function respawn(shard: number, options: OperateOptions & { readonly fresh: boolean }): Promise<void> {
  const { fresh } = options;
  await withFleet(process.env, async ({ fleet, timeline }) => {
    onProgress(`shard ${shard}: ${fresh ? 'gives its session up and identifies anew' : 'reconnects and resumes'}`);
    const result = await asOperator(timeline, { kind: 'respawn', shard, fresh }, async () => {
      const { results, missing } = await fleet.askShards([shard], { kind: 'respawn', fresh });
      if (results[0] === undefined) throw new BatonError('REQUEST_FAILED', missingLine(missing));
      return results[0];
    });
    const { worker, value } = result;
    print(options, { shard, worker, ...value }, `Shard ${shard} at ${worker} ${value.how} in ${value.tookMs} ms.`);
  });
}

/** `baton reshard`. @throws {BatonError} always: it is not part of this release. */
export async function reshard(count: number): Promise<void> {
  await withFleet(process.env, async ({ fleet }) => {
    const now = await fleet.shardCount();
    throw new BatonError(
      'REQUEST_INVALID',
      `the fleet stays at ${now} shards: this release cannot reshard to ${count} while it runs; ` +
        'set BATON_TOTAL_SHARDS and start the fleet anew, at the price of one IDENTIFY a shard',
    );
  });
}
