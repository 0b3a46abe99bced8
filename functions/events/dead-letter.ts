import type { SQSRecord } from 'aws-lambda';
import {
  asciiJson,
  bestEnvelopeEncoding,
  encodeFrames,
  type EnvelopeHeader,
  eventsAttribute,
} from '../../shared/envelope.ts';

/** Why an event, or a whole message, was given up. */
export type DeadLetterReason =
  /** The handler threw, and threw again on every retry. */
  | 'handler-failed'
  /** The handler did not end within the time one event has. It was told by its signal, and is not tried again. */
  | 'handler-timed-out'
  /** The process died while this event, and nothing else, was running. */
  | 'invocation-died'
  /** The invocation's time was over half-way through, and the consumer guard forbids a second run. */
  | 'interrupted'
  | 'frame-invalid'
  /** SQS itself gave a whole message up: it was delivered a hundred times, and never confirmed. */
  | 'receives-exhausted'
  | 'envelope-undecodable';

/** A message attribute that only dead letters have; it stays on when one is put back on its queue. */
export const failureReasonAttribute = 'reason';

/** What goes to the dead-letter queue, in SQS's terms. */
export interface DeadLetterMessage {
  readonly body: string;
  /** Value of the binary attribute `events`. */
  readonly events: Buffer | undefined;
  readonly attributes: Readonly<Record<string, string>>;
  readonly groupId: string;
  readonly deduplicationId: string;
}

/** Where dead letters go. Rejects when the queue did not confirm. */
export interface DeadLetterQueue {
  send(message: DeadLetterMessage): Promise<void>;
}

/** One event that was given up. */
export interface DeadEvent {
  readonly reason: DeadLetterReason;
  readonly error: string;
  /** The handler that failed, as `<file>#<export>`. */
  readonly handler: string | undefined;
  readonly attempts: number;
  readonly type: string;
  readonly guildId: string | undefined;
  readonly seq: number;
  readonly index: number;
  readonly frame: string;
  readonly header: EnvelopeHeader;
  readonly group: string;
  readonly messageId: string;
}

const maxErrorLength = 1000;

/**
 * The dead letter of one event is an envelope with one frame and the failure beside it: put back on the events queue
 * as it is, it runs again. The deduplication id comes from the message it was in, so a second failure of the same
 * delivery is dropped by SQS, and a failure after a redrive is not.
 */
export function deadLetterOfEvent(dead: DeadEvent): DeadLetterMessage {
  const { header, seq, type, guildId, handler, attempts, messageId } = dead;
  const error = dead.error.slice(0, maxErrorLength);
  const body = asciiJson({
    ...header,
    after: Math.max(0, seq - 1),
    first: seq,
    last: seq,
    count: 1,
    types: { [type]: 1 },
    encoding: bestEnvelopeEncoding,
    failure: { reason: dead.reason, error, type, guildId, handler, attempts, messageId },
  });
  return {
    body,
    events: encodeFrames([Buffer.from(dead.frame)], bestEnvelopeEncoding),
    attributes: {
      [failureReasonAttribute]: dead.reason,
      error: attributeText(error),
      type: attributeText(type),
      shard: header.shard.join('/'),
      session: attributeText(header.session),
      seq: String(seq),
      ...(guildId !== undefined && { guild: attributeText(guildId) }),
      ...(handler !== undefined && { handler }),
    },
    groupId: dead.group,
    deduplicationId: `${messageId}.${dead.index}`,
  };
}

/** A message that is no envelope, as it came. */
export function deadLetterOfMessage(record: SQSRecord, error: string): DeadLetterMessage {
  const encoded = record.messageAttributes[eventsAttribute]?.binaryValue;
  return {
    body: record.body,
    events: encoded === undefined ? undefined : Buffer.from(encoded, 'base64'),
    attributes: {
      [failureReasonAttribute]: 'envelope-undecodable' satisfies DeadLetterReason,
      error: attributeText(error.slice(0, maxErrorLength)),
      messageId: record.messageId,
    },
    groupId: record.attributes.MessageGroupId ?? 'undecodable',
    deduplicationId: record.messageId,
  };
}

/** SQS refuses empty values and some characters; printable ASCII always passes. */
function attributeText(value: string): string {
  const printable = value.replace(/[^\x20-\x7e]/g, '?');
  return printable.trim() === '' ? '-' : printable;
}
