import { type CloudWatchClient, GetMetricStatisticsCommand } from '@aws-sdk/client-cloudwatch';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ReadQueueAges } from './queue-figures.ts';

/** SQS publishes once a minute, a few minutes late at times. */
const lookBackMs = 5 * 60 * 1000;
const askAgainAfterMs = 30_000;

export interface CloudWatchQueueAgesOptions {
  readonly cloudWatch: CloudWatchClient;
  /** By name or URL. */
  readonly queues: { readonly events: string; readonly interactions: string };
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Ages of the oldest messages as CloudWatch last heard them from SQS. Asked at most twice a minute, by
 * `GetMetricStatistics`, of which AWS gives a million requests a month away; without an answer nothing is known.
 */
export function cloudWatchQueueAges({ cloudWatch, queues, clock, logger }: CloudWatchQueueAgesOptions): ReadQueueAges {
  let known: { atMs: number; ages: Awaited<ReturnType<ReadQueueAges>> } | undefined;
  const ageOf = async (queue: string): Promise<number | undefined> => {
    const nowMs = clock.wallClockMs();
    const { Datapoints = [] } = await cloudWatch.send(
      new GetMetricStatisticsCommand({
        Namespace: 'AWS/SQS',
        MetricName: 'ApproximateAgeOfOldestMessage',
        Dimensions: [{ Name: 'QueueName', Value: queue.split('/').at(-1) }],
        StartTime: new Date(nowMs - lookBackMs),
        EndTime: new Date(nowMs),
        Period: 60,
        Statistics: ['Maximum'],
      }),
    );
    const timeOf = ({ Timestamp }: (typeof Datapoints)[number]): number => Timestamp?.getTime() ?? 0;
    return Datapoints.toSorted((one, other) => timeOf(one) - timeOf(other)).at(-1)?.Maximum;
  };
  return async () => {
    if (known !== undefined && clock.monotonicMs() - known.atMs < askAgainAfterMs) return known.ages;
    try {
      const [events, interactions] = await Promise.all([ageOf(queues.events), ageOf(queues.interactions)]);
      const ages = { ...(events !== undefined && { events }), ...(interactions !== undefined && { interactions }) };
      known = { atMs: clock.monotonicMs(), ages };
      return ages;
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'stats.queue_ages_unknown');
      return {};
    }
  };
}
