import { CfnQueryDefinition, type ILogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

/** The last line that told of each shard where it is; lines of moves come from its worker. */
export const shardStatesQuery = [
  'filter msg in ["shard.held", "shard.ready", "shard.resumed", "shard.handoff", "shard.session_lost", "shard.session_given_up", "shard.stopped"]',
  'stats latest(msg) as state, latest(worker) as on, latest(@timestamp) as since by shard',
  'sort shard asc',
  'limit 10000',
] as const;

interface SavedQuery {
  readonly name: string;
  readonly lines: readonly string[];
}

const workerQueries: readonly SavedQuery[] = [
  { name: 'shards-now', lines: shardStatesQuery },
  {
    name: 'moves-of-shards',
    lines: [
      'filter msg in ["shard.assigned", "shard.takeover", "shard.handoff", "shard.held", "shard.resumed", "shard.ready", "handoff.target_silent"]',
      'fields @timestamp, shard, msg, worker, epoch, to, tookMs',
      'sort @timestamp desc',
      'limit 500',
    ],
  },
  {
    name: 'identifies-and-lost-sessions',
    lines: [
      'filter msg like /^identify\\./ or msg in ["shard.session_lost", "gateway.session_lost"]',
      'fields @timestamp, shard, msg, reason, outcome, remaining, worker',
      'sort @timestamp desc',
      'limit 500',
    ],
  },
  {
    name: 'closes-by-discord',
    lines: [
      'filter msg = "gateway.closed_by_discord"',
      'stats count() as closes by closeCode, closeReason',
      'sort closes desc',
    ],
  },
  {
    name: 'worker-errors',
    lines: [
      'filter level in ["error", "fatal"]',
      'stats count() as times, latest(error) as last by msg, worker',
      'sort times desc',
    ],
  },
  {
    name: 'coordinator-and-fences',
    lines: [
      'filter msg like /^coordinator\\./ or msg in ["worker.fenced", "worker.registered", "worker.removed", "worker.life_ended"]',
      'fields @timestamp, msg, worker, holder, term, fenced, name, shards',
      'sort @timestamp desc',
      'limit 200',
    ],
  },
];

const functionQueries: readonly SavedQuery[] = [
  {
    name: 'dead-lettered-events',
    lines: [
      'filter message in ["events.event_dead_lettered", "events.envelope_dead_lettered"]',
      'fields @timestamp, type, shard, seq, error, stack',
      'sort @timestamp desc',
      'limit 200',
    ],
  },
  {
    name: 'slow-events',
    lines: [
      'filter message = "events.batch" and tookMs >= 2000',
      'stats count() as batches, max(tookMs), max(slowestMs), pct(slowestMs, 50) by slowestHandler, slowestType',
      'sort batches desc',
    ],
  },
  {
    name: 'answers-to-interactions',
    lines: [
      'filter message in ["interactions.answered", "interactions.answered_late"]',
      'stats count() as answers, pct(ageMs, 50), pct(ageMs, 99), pct(arrivedAfterMs, 99) by command, way',
      'sort answers desc',
    ],
  },
  {
    name: 'rebalancing',
    lines: [
      'filter message like /^(rebalance|fleet)\\./',
      'fields @timestamp, message, moves, skipped, held, workerCount, to',
      'sort @timestamp desc',
      'limit 200',
    ],
  },
];

const stoppedWorkerQueries: readonly SavedQuery[] = [
  {
    name: 'stopped-workers',
    lines: [
      'fields @timestamp, detail.stopCode, detail.stoppedReason, detail.containers.0.exitCode, detail.taskArn',
      'sort @timestamp desc',
      'limit 200',
    ],
  },
];

export interface SavedQueriesProps {
  readonly fleet: string;
  readonly workerLogs: ILogGroup;
  readonly functionLogs: readonly ILogGroup[];
  readonly stoppedWorkerLogs: ILogGroup;
}

/** Queries of CloudWatch Logs Insights that runbooks send people to, in the folder of the fleet. */
export class SavedQueries extends Construct {
  constructor(scope: Construct, id: string, props: SavedQueriesProps) {
    super(scope, id);
    const { fleet, workerLogs, functionLogs, stoppedWorkerLogs } = props;
    const save = (logGroups: readonly ILogGroup[]) => (query: SavedQuery) =>
      // The L2 construct puts the commands of a query into an order of its own.
      new CfnQueryDefinition(this, query.name, {
        name: `${fleet}/${query.name}`,
        queryString: query.lines.join('\n| '),
        logGroupNames: logGroups.map(({ logGroupName }) => logGroupName),
      });
    workerQueries.forEach(save([workerLogs]));
    functionQueries.forEach(save(functionLogs));
    stoppedWorkerQueries.forEach(save([stoppedWorkerLogs]));
  }
}
