import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs';
import type { SQSMessageAttribute, SQSMessageAttributes, SQSRecord, SQSRecordAttributes } from 'aws-lambda';

/** A received message as Lambda shows it to a function: binary attributes become base64. */
export function sqsRecord(message: Message, queueArn: string): SQSRecord {
  const { MessageId = '', ReceiptHandle = '', Body = '', MD5OfBody = '', MD5OfMessageAttributes } = message;
  return {
    messageId: MessageId,
    receiptHandle: ReceiptHandle,
    body: Body,
    attributes: { ...message.Attributes } as unknown as SQSRecordAttributes,
    messageAttributes: messageAttributes(message.MessageAttributes),
    md5OfBody: MD5OfBody,
    ...(MD5OfMessageAttributes !== undefined && { md5OfMessageAttributes: MD5OfMessageAttributes }),
    eventSource: 'aws:sqs',
    eventSourceARN: queueArn,
    awsRegion: queueArn.split(':')[3] ?? '',
  };
}

function messageAttributes(values: Record<string, MessageAttributeValue> = {}): SQSMessageAttributes {
  return Object.fromEntries(
    Object.entries(values).map(
      ([name, { DataType = 'String', StringValue, BinaryValue }]): [string, SQSMessageAttribute] => [
        name,
        {
          ...(StringValue !== undefined && { stringValue: StringValue }),
          ...(BinaryValue !== undefined && { binaryValue: base64(BinaryValue) }),
          stringListValues: [],
          binaryListValues: [],
          dataType: DataType,
        },
      ],
    ),
  );
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

/** What a function's answer says about its batch: messages to delete, and messages to leave to their visibility timeout. */
export interface BatchVerdict {
  readonly succeeded: readonly SQSRecord[];
  readonly failed: readonly SQSRecord[];
  /** Why the whole batch failed, where it did. */
  readonly wholeBatch?: string;
}

/**
 * Reads a function's answer as Lambda does with `ReportBatchItemFailures` (Lambda, "Handling errors for an SQS event
 * source"): nothing, `{}` and an empty or `null` list mean success; an answer of another form, or an identifier that is
 * not of this batch, fails the whole batch.
 */
export function judgeBatch(records: readonly SQSRecord[], answer: unknown): BatchVerdict {
  const everythingFailed = (wholeBatch: string): BatchVerdict => ({ succeeded: [], failed: records, wholeBatch });
  if (answer === null || answer === undefined) return { succeeded: records, failed: [] };
  if (typeof answer !== 'object') return everythingFailed('the answer is not an object');
  const { batchItemFailures } = answer as { batchItemFailures?: unknown };
  if (batchItemFailures === null || batchItemFailures === undefined) return { succeeded: records, failed: [] };
  if (!Array.isArray(batchItemFailures)) return everythingFailed('batchItemFailures is not a list');
  const ids = new Set(records.map(({ messageId }) => messageId));
  const failedIds = new Set<string>();
  for (const item of batchItemFailures as unknown[]) {
    const id = (item as { itemIdentifier?: unknown } | null)?.itemIdentifier;
    if (typeof id !== 'string' || !ids.has(id)) {
      return everythingFailed(`itemIdentifier ${JSON.stringify(id)} is not of this batch`);
    }
    failedIds.add(id);
  }
  return {
    succeeded: records.filter(({ messageId }) => !failedIds.has(messageId)),
    failed: records.filter(({ messageId }) => failedIds.has(messageId)),
  };
}

/**
 * Messages that a FIFO function reports as done although an earlier one of their group failed. Lambda deletes them, so
 * the failed one comes back after its successors: a fault of the function, which must report those too.
 */
export function succeededAfterFailure(records: readonly SQSRecord[], { failed }: BatchVerdict): readonly SQSRecord[] {
  const failedIds = new Set(failed.map(({ messageId }) => messageId));
  const brokenGroups = new Set<string>();
  return records.filter(({ messageId, attributes: { MessageGroupId } }) => {
    if (MessageGroupId === undefined) return false;
    if (failedIds.has(messageId)) brokenGroups.add(MessageGroupId);
    return !failedIds.has(messageId) && brokenGroups.has(MessageGroupId);
  });
}
