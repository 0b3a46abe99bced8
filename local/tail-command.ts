import type { TailBatch, TailedEvent } from '../shared/control/requests.ts';
import { systemClock } from '../shared/clock.ts';
import { withFleet } from './fleet-client.ts';
import { StopSignals } from './stop-signals.ts';

export interface TailCommandOptions {
  readonly json: boolean;
  readonly type?: readonly string[];
  readonly guild?: readonly string[];
  /** Events a second from each worker. */
  readonly rate: number;
  /** Milliseconds; without it until Ctrl-C. */
  readonly duration?: number;
}

/**
 * `baton tail`: events as the workers read them, one a line (with `--json` one object a line), until Ctrl-C.
 * @throws {BatonError} as `Fleet.tail`.
 */
export async function tail({ json, type, guild, rate, duration }: TailCommandOptions): Promise<void> {
  const signals = new StopSignals(() => systemClock.monotonicMs());
  signals.listen();
  const over = new AbortController();
  const timer = duration === undefined ? undefined : systemClock.schedule(duration, () => over.abort());
  try {
    await withFleet(process.env, async ({ fleet }) => {
      const batches = fleet.tail({
        ...(type && { types: type }),
        ...(guild && { guilds: guild }),
        perSecond: rate,
        signal: AbortSignal.any([signals.orderly, over.signal]),
      });
      for await (const batch of batches) {
        if (json) for (const event of batch.events) console.log(JSON.stringify({ ...event, worker: batch.workerId }));
        else for (const line of batchLines(batch)) console.log(line);
      }
    });
  } finally {
    timer?.cancel();
    signals.stopListening();
  }
}

/** Events as people read them, and how many were left out to keep to the rate. */
export function batchLines({ workerId, events, skipped }: TailBatch): string[] {
  const lines = events.map((event) => `${eventLine(event)}  ${workerId}`);
  return skipped === 0 ? lines : [...lines, `(${skipped} more at ${workerId}, above the rate)`];
}

function eventLine({ atMs, shard, seq, type, guildId, id, bytes }: TailedEvent): string {
  return [
    new Date(atMs).toISOString().slice(11, 23),
    `shard ${shard}`.padEnd(9),
    `seq ${seq}`.padEnd(10),
    type.padEnd(28),
    (guildId === undefined ? '-' : `guild ${guildId}`).padEnd(26),
    (id === undefined ? '-' : `id ${id}`).padEnd(23),
    `${bytes} B`.padStart(8),
  ].join('  ');
}
