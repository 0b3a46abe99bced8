import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import type { GatewayCompression } from '../shared/config.ts';
import { ChildProgram } from './child-program.ts';
import type { IdleResult } from './idle-client.ts';
import { installPeers } from './peers.ts';
import type { ReceiveArguments } from './receive-client.ts';
import { ownReceivers } from './receivers.ts';
import { formatSummary, ratios, type Summary, summarize } from './summary.ts';
import { TapePlayer } from './tape-player.ts';
import { makeTape } from './traffic-tape.ts';

export interface MemoryBenchOptions {
  readonly receivers: readonly string[];
  readonly compress: readonly GatewayCompression[];
  /** Connections of a process; an idle shard's memory is told by the difference to the smallest of these numbers. */
  readonly shards: readonly number[];
  readonly rounds: number;
  readonly json: boolean;
}

export interface MemoryLine {
  readonly compress: GatewayCompression;
  readonly shards: number;
  readonly receiver: string;
  readonly rssKibPerShard: Summary;
  /** JavaScript heap and buffers alone. */
  readonly ownKibPerShard: Summary;
  /** RSS by that of a bare WebSocket in the same round. */
  readonly ratioToWs: Summary;
}

const baseline = 'ws';
const withinMs = 120_000;
/** Sessions begin with guilds; what they leave behind is gone by then. */
const settleMs = 3000;

/** Memory of idle connections, each process anew and in turn, round after round. */
export async function benchMemory(options: MemoryBenchOptions): Promise<void> {
  const names = [baseline, ...options.receivers.filter((name) => name !== baseline)];
  if (names.some((name) => ownReceivers[name] === undefined)) installPeers();
  const player = new TapePlayer();
  await player.listen();
  const lines: MemoryLine[] = [];
  try {
    for (const compress of options.compress) lines.push(...(await measure(player, compress, names, options)));
  } finally {
    await player.close();
  }
  if (options.json) console.log(JSON.stringify({ bench: 'memory', lines }));
  else {
    const rows = lines.map((line) => [
      line.compress,
      `${line.shards} shards`,
      line.receiver,
      `${formatSummary(line.rssKibPerShard, 0)} KiB`,
      `x ${formatSummary(line.ratioToWs)}`,
      `${formatSummary(line.ownKibPerShard, 1)} KiB of heap and buffers`,
    ]);
    console.log(renderTable(rows).join('\n'));
  }
}

async function measure(
  player: TapePlayer,
  compress: GatewayCompression,
  names: readonly string[],
  { shards, rounds }: MemoryBenchOptions,
): Promise<MemoryLine[]> {
  const counts = shards.toSorted((a, b) => a - b);
  const least = counts[0] as number;
  player.load(makeTape('small', compress, 1, `ws://127.0.0.1:${player.port}`), counts.at(-1) as number);
  const found = new Map<string, IdleResult[]>();
  for (let round = 0; round < rounds; round += 1) {
    for (const count of counts) {
      for (const name of names) {
        const key = `${name} ${count}`;
        found.set(key, [...(found.get(key) ?? []), await idle(player, name, compress, count)]);
      }
    }
  }
  const perShard = (name: string, count: number, of: keyof IdleResult): number[] =>
    (found.get(`${name} ${count}`) as IdleResult[]).map((result, round) => {
      const few = (found.get(`${name} ${least}`) as IdleResult[])[round] as IdleResult;
      return (result[of] - few[of]) / (count - least) / 1024;
    });
  return counts.slice(1).flatMap((count) =>
    names.map((receiver): MemoryLine => {
      const rss = perShard(receiver, count, 'rssBytes');
      return {
        compress,
        shards: count,
        receiver,
        rssKibPerShard: summarize(rss),
        ownKibPerShard: summarize(perShard(receiver, count, 'ownBytes')),
        ratioToWs: ratios(rss, perShard(baseline, count, 'rssBytes')),
      };
    }),
  );
}

async function idle(
  player: TapePlayer,
  receiver: string,
  compress: GatewayCompression,
  shards: number,
): Promise<IdleResult> {
  player.hangUp();
  const task: ReceiveArguments = {
    receiver,
    gatewayUrl: `ws://127.0.0.1:${player.port}`,
    shards,
    compress,
    warmUp: 0,
    total: 0,
  };
  const client = new ChildProgram<'measure', IdleResult>('idle-client.ts', {
    args: [JSON.stringify(task)],
    execArgv: ['--expose-gc'],
  });
  try {
    const untilMs = systemClock.monotonicMs() + withinMs;
    while (player.listening < shards) {
      if (systemClock.monotonicMs() > untilMs) throw new Error(`${receiver} did not connect ${shards} shards`);
      await systemClock.sleep(50);
    }
    await systemClock.sleep(settleMs);
    return await client.ask('measure', withinMs);
  } finally {
    await client.end();
  }
}
