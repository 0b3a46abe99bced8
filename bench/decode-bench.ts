import { zstdDecompressSync } from 'node:zlib';
import type { SQSRecord } from 'aws-lambda';
import { readDelivery } from '../functions/events/delivery.ts';
import type { DeliveryMarks } from '../functions/events/delivery-marks.ts';
import { createEventsHandler } from '../functions/events/events-handler.ts';
import { defineEvent } from '../functions/kit/define-event.ts';
import { createHandlerServices } from '../functions/kit/handler-services.ts';
import { createRegistry } from '../functions/kit/registry.ts';
import { StoredShards } from '../functions/kit/shard-context.ts';
import { renderTable } from '../local/text-table.ts';
import { createDynamoDBDocumentClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { readFunctionsConfig } from '../shared/config.ts';
import { MemoryStore } from '../shared/coordination/memory-store.ts';
import { decodeEnvelope, encodeFrames, encodeHeader, eventsAttribute } from '../shared/envelope.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { formatSummary, ratios, type Summary, summarize } from './summary.ts';
import { tapeFrames } from './traffic-tape.ts';

export interface DecodeBenchOptions {
  readonly eventsPerEnvelope: number;
  readonly rounds: number;
  readonly json: boolean;
}

export interface DecodeLine {
  readonly step: string;
  readonly cpuSecondsPerMillion: Summary;
  /** By the bare minimum in the same round. */
  readonly ratio: Summary;
}

const envelopesOfRound = 200;
const recordsOfBatch = 10;
const neverAsked = (): never => {
  throw new Error('a first delivery touches no marks');
};
const noMarks: DeliveryMarks = { loadProgress: neverAsked, saveProgress: neverAsked, raiseGuard: neverAsked };

/** CPU time of the events function for a million events, handlers that do nothing included. */
export async function benchDecode({ eventsPerEnvelope, rounds, json }: DecodeBenchOptions): Promise<void> {
  const records = makeRecords(eventsPerEnvelope);
  const handler = createHandler();
  const steps: Record<string, () => Promise<void> | void> = {
    'bare: unpack, split, JSON.parse': () => {
      for (const record of records) {
        const plain = zstdDecompressSync(Buffer.from(bytesOf(record), 'base64')).toString();
        for (const line of plain.split('\n')) JSON.parse(line);
      }
    },
    'decode the envelope': () => {
      for (const record of records) decodeEnvelope(record.body, Buffer.from(bytesOf(record), 'base64'));
    },
    'decode and parse every event': () => {
      for (const record of records) readDelivery(record);
    },
    'the whole invocation, a handler that does nothing': async () => {
      for (let at = 0; at < records.length; at += recordsOfBatch) {
        const { batchItemFailures } = await handler(
          { Records: records.slice(at, at + recordsOfBatch) },
          { getRemainingTimeInMillis: () => 30_000 },
        );
        if (batchItemFailures.length > 0) throw new Error('an invocation failed');
      }
    },
  };
  const seconds = new Map<string, number[]>(Object.keys(steps).map((step) => [step, []]));
  // One round more than asked for: the first one compiles.
  for (let round = 0; round <= rounds; round += 1) {
    for (const [step, run] of Object.entries(steps)) {
      const before = process.cpuUsage();
      await run();
      const { user, system } = process.cpuUsage(before);
      if (round > 0) seconds.get(step)?.push((user + system) / (records.length * eventsPerEnvelope));
    }
  }
  const [bare] = seconds.values();
  const lines = [...seconds].map(
    ([step, values]): DecodeLine => ({
      step,
      cpuSecondsPerMillion: summarize(values),
      ratio: ratios(values, bare as number[]),
    }),
  );
  if (json) console.log(JSON.stringify({ bench: 'decode', eventsPerEnvelope, lines }));
  else {
    console.log(
      `CPU seconds per million events, ${eventsPerEnvelope} in an envelope, ${recordsOfBatch} envelopes at a time`,
    );
    const rows = lines.map((line) => [
      line.step,
      formatSummary(line.cpuSecondsPerMillion),
      `x ${formatSummary(line.ratio)}`,
    ]);
    console.log(renderTable(rows).join('\n'));
  }
}

function bytesOf(record: SQSRecord): string {
  return record.messageAttributes[eventsAttribute]?.binaryValue as string;
}

function makeRecords(eventsPerEnvelope: number): SQSRecord[] {
  const frames = tapeFrames('message', eventsPerEnvelope * 20);
  return Array.from({ length: envelopesOfRound }, (_, index) => {
    const from = (index % 20) * eventsPerEnvelope;
    const kept = frames.slice(from, from + eventsPerEnvelope);
    const first = index * eventsPerEnvelope + 1;
    const shardId = index % 64;
    const body = encodeHeader({
      v: 1,
      shard: [shardId, 64],
      epoch: 3,
      session: 'session',
      after: first - 1,
      first,
      last: first + kept.length - 1,
      count: kept.length,
      types: { MESSAGE_CREATE: kept.length },
      encoding: 'zstd',
      at: systemClock.wallClockMs(),
    });
    return {
      messageId: String(index),
      receiptHandle: '',
      body,
      attributes: {
        ApproximateReceiveCount: '1',
        SentTimestamp: '0',
        SenderId: '',
        ApproximateFirstReceiveTimestamp: '0',
        MessageGroupId: `64.${shardId}`,
      },
      messageAttributes: {
        [eventsAttribute]: { dataType: 'Binary', binaryValue: encodeFrames(kept, 'zstd').toString('base64') },
      },
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:bench.fifo',
      awsRegion: 'us-east-1',
    };
  });
}

function createHandler() {
  const nowhere = {
    endpoint: 'http://127.0.0.1:1',
    region: 'us-east-1',
    credentials: { accessKeyId: 'bench', secretAccessKey: 'bench' },
  };
  const documents = createDynamoDBDocumentClient('general', nowhere);
  const logger = silentLogger;
  return createEventsHandler({
    registry: createRegistry([{ file: 'bench.ts', exports: { nothing: defineEvent('MESSAGE_CREATE', () => {}) } }]),
    deadLetters: { send: neverAsked },
    marks: noMarks,
    services: createHandlerServices({
      config: readFunctionsConfig({ DISCORD_TOKEN: 'Ym90.bench.token' }),
      documents,
      clock: systemClock,
      random: systemRandom,
      logger,
    }),
    shards: new StoredShards(new MemoryStore(systemClock), systemClock),
    clock: systemClock,
    random: systemRandom,
    logger,
    consumerGuard: false,
  });
}
