import type { SQSRecord } from 'aws-lambda';
import { decodeEnvelope, type EnvelopeHeader, eventsAttribute, messageGroupId } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import { guildOfDispatch } from '../kit/dispatch-guild.ts';
import { failureReasonAttribute } from './dead-letter.ts';

/** One dispatch of an envelope, parsed. */
export interface QueuedEvent {
  /** Place in the envelope, from 0: what progress marks count by. */
  readonly index: number;
  /** The frame exactly as Discord sent it. */
  readonly frame: string;
  readonly seq: number;
  readonly type: string;
  readonly guildId: string | undefined;
  /** The dispatch's `d`. */
  readonly data: unknown;
  /** Why the frame is no dispatch; then type, guild and data mean nothing. */
  readonly flaw: string | undefined;
}

/** One message of the events queue, read. */
export interface Delivery {
  readonly messageId: string;
  readonly group: string;
  /** How often SQS has handed the message out, this time included. Above 1 an earlier invocation did not finish it. */
  readonly receiveCount: number;
  /** A dead letter that was put back on the queue: it comes long after its neighbours, so it touches no consumer mark. */
  readonly redriven: boolean;
  readonly header: EnvelopeHeader;
  readonly events: readonly QueuedEvent[];
}

/** What a record is. A message between shards is an envelope as well, of a session of its own. */
export type ReadDelivery =
  | { readonly kind: 'envelope'; readonly delivery: Delivery }
  | { readonly kind: 'undecodable'; readonly record: SQSRecord; readonly reason: string };

/** Reads a record. Never throws: a message that is no envelope comes back with the reason. */
export function readDelivery(record: SQSRecord): ReadDelivery {
  const encoded = record.messageAttributes[eventsAttribute]?.binaryValue;
  if (encoded === undefined) {
    return { kind: 'undecodable', record, reason: `no binary attribute "${eventsAttribute}"` };
  }
  try {
    const { header, frames } = decodeEnvelope(record.body, Buffer.from(encoded, 'base64'));
    return {
      kind: 'envelope',
      delivery: {
        messageId: record.messageId,
        group:
          record.attributes.MessageGroupId ?? messageGroupId({ shardId: header.shard[0], shardCount: header.shard[1] }),
        receiveCount: Number(record.attributes.ApproximateReceiveCount),
        redriven: record.messageAttributes[failureReasonAttribute] !== undefined,
        header,
        events: frames.map((frame, index) => readFrame(frame, index, header)),
      },
    };
  } catch (error) {
    return { kind: 'undecodable', record, reason: messageOf(error) };
  }
}

function readFrame(frame: string, index: number, header: EnvelopeHeader): QueuedEvent {
  let dispatch: unknown;
  try {
    dispatch = JSON.parse(frame);
  } catch (error) {
    return flawed(frame, index, header, `frame is not JSON: ${messageOf(error)}`);
  }
  if (typeof dispatch !== 'object' || dispatch === null) return flawed(frame, index, header, 'frame is not an object');
  const { t, s, d } = dispatch as { t?: unknown; s?: unknown; d?: unknown };
  if (typeof t !== 'string') return flawed(frame, index, header, 'frame has no type');
  if (typeof s !== 'number') return flawed(frame, index, header, 'frame has no sequence number');
  return { index, frame, seq: s, type: t, guildId: guildOfDispatch(t, d), data: d, flaw: undefined };
}

function flawed(frame: string, index: number, header: EnvelopeHeader, flaw: string): QueuedEvent {
  return { index, frame, seq: header.first, type: 'UNKNOWN', guildId: undefined, data: undefined, flaw };
}
