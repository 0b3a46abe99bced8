import { randomUUID } from 'node:crypto';
import type { SQSEvent, SQSRecord } from 'aws-lambda';
import type { DeadLetterMessage, DeadLetterQueue } from '../../../functions/events/dead-letter.ts';
import { createEventsHandler } from '../../../functions/events/events-handler.ts';
import type { BatchSummary, EventsDeps, ObservedEvent } from '../../../functions/events/events-invocation.ts';
import type { EventDefinition } from '../../../functions/kit/define-event.ts';
import { createHandlerServices } from '../../../functions/kit/handler-services.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import { StoredShards } from '../../../functions/kit/shard-context.ts';
import { createDynamoDBDocumentClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readFunctionsConfig } from '../../../shared/config.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import { encodeFrames, encodeHeader, type EnvelopeHeader } from '../../../shared/envelope.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';
import { MemoryDeliveryMarks } from './memory-delivery-marks.ts';

/** A dispatch as Discord sends it. `n` tells events apart. */
export interface TestEvent {
  readonly seq: number;
  readonly guild?: string;
  readonly type?: string;
}

export function frameOf({ seq, guild, type = 'MESSAGE_CREATE' }: TestEvent): string {
  return JSON.stringify({
    t: type,
    s: seq,
    op: 0,
    d: { id: `m${seq}`, ...(guild !== undefined && { guild_id: guild }) },
  });
}

export interface TestRecord {
  readonly events: readonly (TestEvent | string)[];
  readonly messageId?: string;
  readonly shard?: [number, number];
  readonly session?: string;
  readonly receiveCount?: number;
  readonly header?: Partial<EnvelopeHeader>;
}

/** What Lambda would hand over for an envelope. */
export function recordOf({
  events,
  messageId = randomUUID(),
  shard = [3, 64],
  session = 'session',
  receiveCount = 1,
  header: overrides = {},
}: TestRecord): SQSRecord {
  const seqs = events.flatMap((event) => (typeof event === 'string' ? [] : [event.seq]));
  const first = Math.min(...seqs, Number.MAX_SAFE_INTEGER);
  const header: EnvelopeHeader = {
    v: 1,
    shard,
    epoch: 7,
    session,
    after: first - 1,
    first,
    last: Math.max(...seqs, first),
    count: events.length,
    types: { MESSAGE_CREATE: events.length },
    encoding: 'gzip',
    at: 1_760_000_000_000,
    ...overrides,
  };
  const frames = events.map((event) => Buffer.from(typeof event === 'string' ? event : frameOf(event)));
  return sqsRecord({
    messageId,
    body: encodeHeader(header),
    events: encodeFrames(frames, header.encoding),
    group: `${shard[1]}.${shard[0]}`,
    receiveCount,
  });
}

export function sqsRecord({
  messageId = randomUUID(),
  body,
  events,
  group,
  receiveCount = 1,
  attributes = {},
}: {
  messageId?: string;
  body: string;
  events?: Buffer | undefined;
  group?: string;
  receiveCount?: number;
  attributes?: Readonly<Record<string, string>>;
}): SQSRecord {
  return {
    messageId,
    receiptHandle: `receipt of ${messageId}`,
    body,
    attributes: {
      ApproximateReceiveCount: String(receiveCount),
      SentTimestamp: '1760000000000',
      SenderId: 'worker',
      ApproximateFirstReceiveTimestamp: '1760000000000',
      ...(group !== undefined && { MessageGroupId: group }),
    },
    messageAttributes: {
      ...(events && { events: { dataType: 'Binary', binaryValue: events.toString('base64') } }),
      ...Object.fromEntries(
        Object.entries(attributes).map(([name, value]) => [name, { dataType: 'String', stringValue: value }]),
      ),
    },
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:baton-events.fifo',
    awsRegion: 'us-east-1',
  };
}

/** The next delivery of the same message. */
export function redelivered(record: SQSRecord): SQSRecord {
  const ApproximateReceiveCount = String(Number(record.attributes.ApproximateReceiveCount) + 1);
  return { ...record, attributes: { ...record.attributes, ApproximateReceiveCount } };
}

export class MemoryDeadLetters implements DeadLetterQueue {
  readonly messages: DeadLetterMessage[] = [];
  /** When set, the queue takes nothing. */
  outage: Error | undefined;

  async send(message: DeadLetterMessage): Promise<void> {
    if (this.outage) throw this.outage;
    this.messages.push(message);
  }
}

/** Handlers of these tests talk to nobody: a request of theirs would fail at once. */
const nowhere = {
  endpoint: 'http://127.0.0.1:1',
  region: 'us-east-1',
  credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
};
const unreachableServices = createHandlerServices({
  config: readFunctionsConfig({ DISCORD_TOKEN: 'test', DISCORD_API_URL: 'http://127.0.0.1:1/api/v10' }),
  documents: createDynamoDBDocumentClient('general', nowhere),
  clock: systemClock,
  random: seededRandom(1),
  logger: silentLogger,
});
const unreachableShards = new StoredShards(new MemoryStore(systemClock), systemClock);

/** An events handler whose surroundings are in memory and whose time the test moves. */
export class EventsBench {
  readonly clock = new ManualClock();
  readonly marks = new MemoryDeliveryMarks();
  readonly deadLetters = new MemoryDeadLetters();
  readonly observed: ObservedEvent[] = [];
  readonly summaries: BatchSummary[] = [];
  readonly #definitions: readonly EventDefinition[];
  readonly #overrides: Partial<EventsDeps>;

  constructor(definitions: readonly EventDefinition[], overrides: Partial<EventsDeps> = {}) {
    this.#definitions = definitions;
    this.#overrides = overrides;
  }

  /** Starts an invocation. To let it crash, do not wait for it. */
  invoke(records: readonly SQSRecord[], { remainingMs = 30_000 } = {}): Promise<string[]> {
    const exports = Object.fromEntries(this.#definitions.map((definition, index) => [`handler${index}`, definition]));
    const handler = createEventsHandler({
      registry: createRegistry(this.#definitions.length > 0 ? [{ file: 'handlers/test.ts', exports }] : []),
      deadLetters: this.deadLetters,
      marks: this.marks,
      services: unreachableServices,
      shards: unreachableShards,
      clock: this.clock,
      random: seededRandom(1),
      logger: silentLogger,
      consumerGuard: false,
      observe: (event) => this.observed.push(event),
      observeBatch: (summary) => this.summaries.push({ ...summary }),
      ...this.#overrides,
    });
    const deadlineMs = this.clock.monotonicMs() + remainingMs;
    const event: SQSEvent = { Records: [...records] };
    return handler(event, { getRemainingTimeInMillis: () => deadlineMs - this.clock.monotonicMs() }).then(
      ({ batchItemFailures }) => batchItemFailures.map(({ itemIdentifier }) => itemIdentifier),
    );
  }

  /** Moves time on from timer to timer; before each, what can go on without more time goes on. */
  async pass(durationMs = 0): Promise<void> {
    const untilMs = this.clock.monotonicMs() + durationMs;
    for (;;) {
      for (let turn = 0; turn < 30; turn += 1) await this.clock.settle();
      const leftMs = untilMs - this.clock.monotonicMs();
      const nextMs = this.clock.nextTimerMs;
      if (nextMs === undefined || nextMs > leftMs) {
        await this.clock.advance(leftMs);
        return;
      }
      await this.clock.advance(nextMs);
    }
  }
}

/** A promise that a test resolves by hand. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
