import type { EventsSender, OutgoingEnvelope, SendOutcome } from '../gateway-workers/publishing/events-sender.ts';
import { FlushCycle, type PublishingShard } from '../gateway-workers/publishing/flush-cycle.ts';
import { listedForMs } from '../gateway-workers/publishing/send-rules.ts';
import { SessionStream } from '../gateway-workers/publishing/session-stream.ts';
import { renderTable } from '../local/text-table.ts';
import { encodeCheckpointEntries } from '../shared/coordination/checkpoint-codec.ts';
import { MemoryStore } from '../shared/coordination/memory-store.ts';
import type { CheckpointItem } from '../shared/coordination/model.ts';
import type { CheckpointOutcome } from '../shared/coordination/store.ts';
import { bestEnvelopeEncoding, encodeHeader, messageBytes } from '../shared/envelope.ts';
import { silentLogger } from '../shared/logger.ts';
import { type Random, seededRandom } from '../shared/random.ts';
import type { ShardAddress } from '../shared/sharding.ts';
import { quantile } from './summary.ts';
import { type Mix, tapeFrames } from './traffic-tape.ts';
import { VirtualClock } from './virtual-clock.ts';

export interface RequestsBenchOptions {
  /** Events a second of each shard. */
  readonly rate: readonly number[];
  readonly shards: readonly number[];
  readonly mix: Mix;
  readonly linger: number;
  readonly json: boolean;
}

/** For a million events. Added latency is the time from the arrival in the worker to the acknowledgement by SQS. */
export interface RequestsLine {
  readonly shards: number;
  readonly eventsPerShardSecond: number;
  readonly eventsPerBilledRequest: number;
  readonly billedSqsRequests: number;
  readonly envelopes: number;
  readonly sqsMegabytes: number;
  readonly writeUnits: number;
  readonly addedLatencyMs: { readonly p50: number; readonly p99: number };
}

/** Usual answers within a region, once connections are open. */
const sqsAnswersMs = { min: 8, spread: 12 };
const dynamodbAnswersMs = { min: 3, spread: 5 };
const billedChunkBytes = 64 * 1024;
const writeUnitBytes = 1024;
const heartbeatMs = 3000;

/** What the real flush cycle asks of SQS and DynamoDB, on a clock of its own and with services that only count. */
export async function benchRequests(options: RequestsBenchOptions): Promise<void> {
  const lines: RequestsLine[] = [];
  for (const shards of options.shards) {
    for (const rate of options.rate) lines.push(await measure(shards, rate, options));
  }
  if (options.json) console.log(JSON.stringify({ bench: 'requests', linger: options.linger, lines }));
  else console.log(describe(lines));
}

/** Discord's gateway dispatches of one shard, as the flush cycle sees them. */
class BusyShard implements PublishingShard {
  readonly shard: ShardAddress;
  readonly epoch = 3;
  readonly isFrozen = false;
  readonly connectedSinceMs = 0;
  readonly stream: SessionStream;
  /** When each event arrived, by `s`. */
  readonly arrivedAtMs: number[] = [];
  #seq = 0;

  constructor(shardId: number, shardCount: number, clock: VirtualClock, random: Random) {
    this.shard = { shardId, shardCount };
    this.stream = new SessionStream({
      session: random.uuid().replaceAll('-', ''),
      from: undefined,
      isWanted: () => true,
      encoding: bestEnvelopeEncoding,
      monotonicMs: () => clock.monotonicMs(),
      onOversized() {},
    });
  }

  checkpointEntry() {
    return { epoch: this.epoch, ...this.stream.checkpoint() };
  }

  receive(bytes: Buffer, nowMs: number): void {
    this.#seq += 1;
    this.arrivedAtMs[this.#seq] = nowMs;
    this.stream.accept({ seq: this.#seq, type: 'MESSAGE_CREATE', bytes, replayed: false });
  }
}

class CountingStore extends MemoryStore {
  writeUnits = 0;
  readonly #clock: VirtualClock;
  readonly #random: Random;

  constructor(clock: VirtualClock, random: Random) {
    super(clock);
    this.#clock = clock;
    this.#random = random;
  }

  override async writeCheckpoint(item: Omit<CheckpointItem, 'fencedBy'>): Promise<CheckpointOutcome> {
    // Key, version and attribute names come to about a hundred bytes.
    this.writeUnits += Math.ceil((encodeCheckpointEntries(item.entries).length + 100) / writeUnitBytes);
    await this.#clock.sleep(dynamodbAnswersMs.min + this.#random.next() * dynamodbAnswersMs.spread);
    return super.writeCheckpoint(item);
  }
}

class CountingQueue implements EventsSender {
  billedRequests = 0;
  envelopes = 0;
  bytes = 0;
  events = 0;
  readonly latenciesMs: number[] = [];
  readonly #shards: readonly BusyShard[];
  readonly #clock: VirtualClock;
  readonly #random: Random;

  constructor(shards: readonly BusyShard[], clock: VirtualClock, random: Random) {
    this.#shards = shards;
    this.#clock = clock;
    this.#random = random;
  }

  async sendBatch(envelopes: readonly OutgoingEnvelope[]): Promise<SendOutcome[]> {
    const bytes = envelopes.reduce((sum, { header, payload }) => sum + messageBytes(encodeHeader(header), payload), 0);
    this.billedRequests += Math.max(1, Math.ceil(bytes / billedChunkBytes));
    this.envelopes += envelopes.length;
    this.bytes += bytes;
    await this.#clock.sleep(sqsAnswersMs.min + this.#random.next() * sqsAnswersMs.spread);
    const nowMs = this.#clock.monotonicMs();
    for (const { header } of envelopes) {
      this.events += header.count;
      const { arrivedAtMs } = this.#shards[header.shard[0]] as BusyShard;
      for (let seq = header.first; seq <= header.last; seq += 1) {
        this.latenciesMs.push(nowMs - (arrivedAtMs[seq] as number));
      }
    }
    return envelopes.map(() => 'sent');
  }
}

async function measure(shardCount: number, rate: number, { mix, linger }: RequestsBenchOptions): Promise<RequestsLine> {
  const clock = new VirtualClock();
  const random = seededRandom(11);
  const shards = Array.from({ length: shardCount }, (_, shardId) => new BusyShard(shardId, shardCount, clock, random));
  const store = new CountingStore(clock, random);
  const queue = new CountingQueue(shards, clock, random);
  const incarnation = random.uuid();
  await store.join({
    incarnation,
    workerId: 'bench',
    release: '',
    chunkCount: 1,
    controlQueueUrl: '',
    originalCoordinator: false,
    assignable: true,
    draining: false,
  });
  const cycle = new FlushCycle({
    store,
    sender: queue,
    incarnation,
    chunk: 0,
    heartbeatMs,
    listedForMs: listedForMs({ heartbeatMs, missedHeartbeats: 3 }),
    lingerMs: linger,
    clock,
    logger: silentLogger,
    onFenced() {},
    controlQueueAnsweredMs: () => clock.monotonicMs(),
  });
  for (const shard of shards) cycle.add(shard);
  const stop = new AbortController();
  const running = cycle.run(stop.signal);
  await feed(shards, rate, tapeFrames(mix, 3000), clock, random);
  await clock.moveTo(clock.monotonicMs() + 2000);
  stop.abort();
  await clock.moveTo(clock.monotonicMs() + 2000);
  await running;
  const perMillion = 1e6 / queue.events;
  return {
    shards: shardCount,
    eventsPerShardSecond: rate,
    eventsPerBilledRequest: Math.round((queue.events / queue.billedRequests) * 10) / 10,
    billedSqsRequests: Math.round(queue.billedRequests * perMillion),
    envelopes: Math.round(queue.envelopes * perMillion),
    sqsMegabytes: Math.round((queue.bytes * perMillion) / 1e6),
    writeUnits: Math.round(store.writeUnits * perMillion),
    addedLatencyMs: {
      p50: Math.round(quantile(queue.latenciesMs, 0.5)),
      p99: Math.round(quantile(queue.latenciesMs, 0.99)),
    },
  };
}

/** Enough to be certain of the second digit, whatever the rate. */
const leastEvents = 20_000;
const leastMs = 30_000;

/** Events come by chance, each shard on its own (a Poisson process). */
async function feed(
  shards: readonly BusyShard[],
  rate: number,
  frames: readonly Buffer[],
  clock: VirtualClock,
  random: Random,
): Promise<void> {
  const perMs = (rate * shards.length) / 1000;
  const untilMs = Math.max(leastMs, leastEvents / perMs);
  let atMs = 0;
  for (let index = 0; ; index += 1) {
    atMs += -Math.log(1 - random.next()) / perMs;
    if (atMs > untilMs) return;
    await clock.moveTo(atMs);
    const shard = shards[Math.floor(random.next() * shards.length)] as BusyShard;
    shard.receive(frames[index % frames.length] as Buffer, atMs);
  }
}

function describe(lines: readonly RequestsLine[]): string {
  const head = [
    'shards',
    'events/s each',
    'events a billed request',
    'requests a million',
    'envelopes',
    'MB',
    'write units',
    'added latency p50 / p99',
  ];
  const rows = lines.map((line) => [
    String(line.shards),
    String(line.eventsPerShardSecond),
    String(line.eventsPerBilledRequest),
    String(line.billedSqsRequests),
    String(line.envelopes),
    String(line.sqsMegabytes),
    String(line.writeUnits),
    `${line.addedLatencyMs.p50} / ${line.addedLatencyMs.p99} ms`,
  ]);
  return renderTable([head, ...rows]).join('\n');
}
