import type { SQSRecord } from 'aws-lambda';
import { describe, expect, test } from 'vitest';
import { judgeBatch, sqsRecord, succeededAfterFailure } from '../../../local/cloud/sqs-event.ts';

function record(messageId: string, group?: string): SQSRecord {
  return sqsRecord(
    { MessageId: messageId, ...(group !== undefined && { Attributes: { MessageGroupId: group } }) },
    'arn:aws:sqs:eu-west-1:1:queue',
  );
}

const batch = ['1', '2', '3'].map((id) => record(id));
const ids = (records: readonly SQSRecord[]) => records.map(({ messageId }) => messageId);

describe('the answer of a function', () => {
  test.each([undefined, null, {}, { batchItemFailures: null }, { batchItemFailures: [] }])(
    '%j means that everything is done',
    (answer) => {
      const { succeeded, failed, wholeBatch } = judgeBatch(batch, answer);
      expect([ids(succeeded), ids(failed), wholeBatch]).toEqual([['1', '2', '3'], [], undefined]);
    },
  );

  test('names the messages that failed', () => {
    const { succeeded, failed, wholeBatch } = judgeBatch(batch, { batchItemFailures: [{ itemIdentifier: '2' }] });
    expect([ids(succeeded), ids(failed), wholeBatch]).toEqual([['1', '3'], ['2'], undefined]);
  });

  test.each([
    'done',
    7,
    { batchItemFailures: '1' },
    { batchItemFailures: [null] },
    { batchItemFailures: [{}] },
    { batchItemFailures: [{ itemIdentifier: null }] },
    { batchItemFailures: [{ itemIdentifier: '' }] },
    { batchItemFailures: [{ id: '1' }] },
    { batchItemFailures: [{ itemIdentifier: '1' }, { itemIdentifier: 'of another batch' }] },
  ])('%j fails the whole batch', (answer) => {
    const { succeeded, failed, wholeBatch } = judgeBatch(batch, answer);
    expect([ids(succeeded), ids(failed)]).toEqual([[], ['1', '2', '3']]);
    expect(wholeBatch).toBeTypeOf('string');
  });
});

test('successors of a failed message in its group that are reported as done are found, those of other groups are not', () => {
  const records = [record('a1', 'a'), record('b1', 'b'), record('a2', 'a'), record('b2', 'b'), record('a3', 'a')];
  const verdict = judgeBatch(records, { batchItemFailures: [{ itemIdentifier: 'a2' }, { itemIdentifier: 'b2' }] });
  expect(ids(succeededAfterFailure(records, verdict))).toEqual(['a3']);
  const complete = judgeBatch(records, { batchItemFailures: [{ itemIdentifier: 'a2' }, { itemIdentifier: 'a3' }] });
  expect(succeededAfterFailure(records, complete)).toEqual([]);
});
