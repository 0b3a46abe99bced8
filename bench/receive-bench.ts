import type { GatewayCompression } from '../shared/config.ts';
import { messageOf } from '../shared/errors.ts';
import { renderTable } from '../local/text-table.ts';
import { ChildProgram } from './child-program.ts';
import { peerReceivers } from './peer-receivers.ts';
import { hasZlibSync, installPeers } from './peers.ts';
import type { ReceiveArguments, ReceiveResult } from './receive-client.ts';
import { ownReceivers } from './receivers.ts';
import { formatSummary, ratios, type Summary, summarize } from './summary.ts';
import type { PlayerAnswer, PlayerRequest } from './tape-player-process.ts';
import type { Mix } from './traffic-tape.ts';

export interface ReceiveBenchOptions {
  readonly mix: readonly Mix[];
  readonly compress: readonly GatewayCompression[];
  readonly receivers: readonly string[];
  readonly shards: number;
  readonly events: number;
  readonly rounds: number;
  /** Events a second over all shards; as fast as they are taken when left out. */
  readonly rate?: number;
  readonly json: boolean;
  /** Writes a .cpuprofile of each process into this folder. */
  readonly profile?: string;
}

export interface ReceiveLine {
  readonly mix: Mix;
  readonly compress: GatewayCompression;
  readonly receiver: string;
  /** CPU seconds for a million events. */
  readonly cpuSecondsPerMillion: Summary;
  /** Against `floor` in the same round. */
  readonly ratioToFloor: Summary;
}

const baseline = 'floor';
const withinMs = 90_000;

/** Measures the CPU time of receiving, receiver by receiver in turn, round after round. */
export async function benchReceive(options: ReceiveBenchOptions): Promise<void> {
  const lines: ReceiveLine[] = [];
  const player = new ChildProgram<PlayerRequest, PlayerAnswer>('tape-player-process.ts');
  try {
    const names = receiverNames(options);
    if (names.some((name) => name in peerReceivers)) {
      installPeers();
      if (!hasZlibSync()) process.stderr.write('without zlib-sync\n');
    }
    for (const mix of options.mix) {
      for (const compress of options.compress) lines.push(...(await measure(player, mix, compress, names, options)));
    }
  } finally {
    await player.end();
  }
  if (options.json) console.log(JSON.stringify({ bench: 'receive', lines }));
}

function receiverNames({ receivers }: ReceiveBenchOptions): string[] {
  const all = [...Object.keys(ownReceivers), ...Object.keys(peerReceivers)];
  const chosen = receivers.includes('all') ? all : [...receivers];
  const unknown = chosen.filter((name) => !all.includes(name));
  if (unknown.length > 0) throw new Error(`no receiver ${unknown.join(', ')}: there are ${all.join(', ')}`);
  return [baseline, ...chosen.filter((name) => name !== baseline)];
}

async function measure(
  player: ChildProgram<PlayerRequest, PlayerAnswer>,
  mix: Mix,
  compress: GatewayCompression,
  names: readonly string[],
  { shards, events, rounds, rate, json, profile }: ReceiveBenchOptions,
): Promise<ReceiveLine[]> {
  const eventsPerShard = Math.ceil(events / shards);
  const { port, plainBytesPerEvent, wireBytesPerEvent } = await player.ask(
    { kind: 'load', mix, compress, eventsPerShard, shards },
    withinMs,
  );
  let able = names.filter((name) => peerReceivers[name]?.compress.includes(compress) ?? true);
  const seconds = new Map<string, number[]>(able.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const name of able) {
      const task: ReceiveArguments = {
        receiver: name,
        gatewayUrl: `ws://127.0.0.1:${port}`,
        shards,
        compress,
        warmUp: Math.round((eventsPerShard * shards) / 3),
        total: eventsPerShard * shards,
      };
      try {
        const result = await receiveOnce(player, task, rate, profile);
        seconds.get(name)?.push((result.cpuMs * 1000) / result.events);
      } catch (error) {
        if (ownReceivers[name] !== undefined) throw error;
        // A library that does not hold out is no yardstick; the others go on.
        process.stderr.write(`${name} failed with ${compress}: ${messageOf(error)}\n`);
        able = able.filter((one) => one !== name);
      }
    }
  }
  const floors = seconds.get(baseline) as number[];
  const lines = able.map((receiver): ReceiveLine => {
    const values = seconds.get(receiver) as number[];
    return { mix, compress, receiver, cpuSecondsPerMillion: summarize(values), ratioToFloor: ratios(values, floors) };
  });
  if (!json) {
    console.log(
      `\n${mix}, ${compress}: ${Math.round(plainBytesPerEvent)} bytes an event, ${Math.round(wireBytesPerEvent)} on the wire; ` +
        `CPU seconds per million events, ${rounds} rounds${rate === undefined ? '' : `, ${rate} events/s`}`,
    );
    const rows = lines.map((line) => [
      line.receiver,
      formatSummary(line.cpuSecondsPerMillion),
      `x ${formatSummary(line.ratioToFloor)}`,
    ]);
    console.log(renderTable(rows).join('\n'));
  }
  return lines;
}

async function receiveOnce(
  player: ChildProgram<PlayerRequest, PlayerAnswer>,
  task: ReceiveArguments,
  rate: number | undefined,
  profile: string | undefined,
): Promise<ReceiveResult> {
  await player.ask({ kind: 'play', ...(rate !== undefined && { eventsPerSecond: rate }) }, withinMs);
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const client = new ChildProgram<never, ReceiveResult>('receive-client.ts', {
    args: [JSON.stringify(task)],
    execArgv,
  });
  try {
    return await client.next(withinMs);
  } finally {
    if (profile === undefined) await client.end();
    else await client.end('SIGCONT');
  }
}
