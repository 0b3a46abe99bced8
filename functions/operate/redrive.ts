import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { resolveQueueUrl } from '../../shared/provision.ts';
import type { Clock } from '../../shared/clock.ts';
import { type DeadLetterReason, failureReasonAttribute } from '../events/dead-letter.ts';

export interface RedriveOptions {
  readonly sqs: SQSClient;
  /** Both by name or URL, both FIFO. */
  readonly deadLetters: string;
  readonly queue: string;
  readonly clock: Clock;
}

export interface RedriveRequest {
  /** Only looks. */
  readonly dryRun: boolean;
  /** When to stop with what has been moved. */
  readonly withinMs: number;
  readonly onProgress?: (line: string) => void;
}

export interface RedriveResult {
  /** Messages that are on their queue again. */
  readonly moved: number;
  /** About how many are dead letters still. */
  readonly left: number;
  /** Why they were given up, with how many of each: of all that were moved, or of some of those that only were looked at. */
  readonly reasons: Readonly<Record<string, number>>;
}

/** Longer than moving ten takes; who dies half-way leaves the rest hidden for so long. */
const hiddenForSeconds = 60;
const progressEvery = 100;
/** What a whole envelope has been through that has no reason of its own. */
const exhausted: DeadLetterReason = 'receives-exhausted';

/**
 * Puts dead letters of events back on their queue, behind what waits there, those of a group in their order. SQS's own
 * move task would do it too, but for whole envelopes that it gave up itself: without a mark that they come late, the
 * consumer guard would skip them. A message is removed once it has been sent, under a deduplication id that is its own,
 * so a redrive that is broken off can be begun again at once.
 * @throws {BatonError} `QUEUE_UNREACHABLE`; what was moved until then is moved.
 */
export async function redrive(options: RedriveOptions, request: RedriveRequest): Promise<RedriveResult> {
  const { sqs, deadLetters, queue, clock } = options;
  try {
    const [from, to] = await Promise.all([resolveQueueUrl(deadLetters, sqs), resolveQueueUrl(queue, sqs)]);
    // No more than there are: what fails anew meanwhile is not sent round and round.
    const waiting = await countOf(sqs, from);
    if (request.dryRun) return { moved: 0, left: waiting, reasons: tally(await receive(sqs, from, 0)) };
    const moved = await moveAll({
      sqs,
      from,
      to,
      atMost: waiting,
      deadlineMs: clock.monotonicMs() + request.withinMs,
      clock,
      request,
    });
    return { moved: moved.length, left: Math.max(0, waiting - moved.length), reasons: tally(moved) };
  } catch (error) {
    if (error instanceof BatonError) throw error;
    throw new BatonError('QUEUE_UNREACHABLE', `redrive of ${deadLetters}: ${messageOf(error)}`, { cause: error });
  }
}

async function moveAll(move: {
  sqs: SQSClient;
  from: string;
  to: string;
  atMost: number;
  deadlineMs: number;
  clock: Clock;
  request: RedriveRequest;
}): Promise<Message[]> {
  const { sqs, from, to, atMost, deadlineMs, clock, request } = move;
  const moved: Message[] = [];
  while (moved.length < atMost) {
    const messages = await receive(sqs, from, hiddenForSeconds);
    if (messages.length === 0) return moved;
    for (const message of messages) {
      // The rest shows itself again when it is no longer hidden.
      if (moved.length >= atMost || clock.monotonicMs() >= deadlineMs) return moved;
      await sqs.send(putBack(message, to));
      await sqs.send(new DeleteMessageCommand({ QueueUrl: from, ReceiptHandle: message.ReceiptHandle }));
      moved.push(message);
      if (moved.length % progressEvery === 0)
        request.onProgress?.(`${moved.length} of ${atMost} dead letters put back`);
    }
  }
  return moved;
}

function putBack({ MessageId, Body, Attributes, MessageAttributes }: Message, queueUrl: string): SendMessageCommand {
  return new SendMessageCommand({
    QueueUrl: queueUrl,
    MessageBody: Body,
    MessageGroupId: Attributes?.MessageGroupId,
    MessageDeduplicationId: MessageId,
    MessageAttributes: {
      [failureReasonAttribute]: { DataType: 'String', StringValue: exhausted },
      ...MessageAttributes,
    },
  });
}

/** Messages on the queue, hidden ones included. */
async function countOf(sqs: SQSClient, queueUrl: string): Promise<number> {
  const counts = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: [...counts] }),
  );
  return counts.reduce((sum, name) => sum + Number(Attributes?.[name] ?? 0), 0);
}

async function receive(sqs: SQSClient, queueUrl: string, visibilityTimeoutSeconds: number): Promise<Message[]> {
  const { Messages } = await sqs.send(
    new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MaxNumberOfMessages: 10,
      VisibilityTimeout: visibilityTimeoutSeconds,
      WaitTimeSeconds: 1,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['MessageGroupId'],
    }),
  );
  return Messages ?? [];
}

function tally(messages: readonly Message[]): Record<string, number> {
  const reasons: Record<string, number> = {};
  for (const { MessageAttributes } of messages) {
    const reason = MessageAttributes?.[failureReasonAttribute]?.StringValue ?? exhausted;
    reasons[reason] = (reasons[reason] ?? 0) + 1;
  }
  return reasons;
}

/** A line for people. */
export function redriveLine({ moved, left, reasons }: RedriveResult, dryRun: boolean): string {
  // Only some of them were looked at.
  if (dryRun)
    return left === 0 ? 'There are no dead letters' : `${left} dead letters: ${Object.keys(reasons).join(', ')}`;
  const why = Object.entries(reasons).map(([reason, count]) => `${count} ${reason}`);
  const because = why.length === 0 ? '' : `: ${why.join(', ')}`;
  const rest = left === 0 ? '' : `; ${left} are left`;
  return moved === 0 && left === 0 ? 'There are no dead letters' : `${moved} dead letters put back${because}${rest}`;
}
