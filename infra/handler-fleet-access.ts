import { grantControlQueues } from './control-queues.ts';
import { replyPartitionPrefix } from '../shared/fleet-resources.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import type { HandlerFunction } from './handler-function.ts';

/** What handlers' `ctx.fleet` and `ctx.shard` need. */
export interface HandlerFleet {
  readonly fleet: string;
  readonly coordination: FleetTable;
  readonly events: FleetQueue;
}

/** Variables that tell a function's handlers where the fleet is. */
export function handlerFleetEnvironment({ coordination, events }: HandlerFleet): Record<string, string> {
  return { BATON_TABLE: coordination.table.tableName, BATON_EVENTS_QUEUE: events.queue.queueUrl };
}

/** Lets a function's handlers look at the fleet, ask its workers, and send messages to other shards. */
export function grantHandlerFleet(to: HandlerFunction, { fleet, coordination, events }: HandlerFleet): void {
  coordination.grant(to.function, 'dynamodb:GetItem', 'dynamodb:Query');
  // Replies that a request has read; leases and checkpoints are in the same table.
  coordination.grantOnPartitions(to.function, `${replyPartitionPrefix}*`, 'dynamodb:DeleteItem');
  events.queue.grant(to.function, 'sqs:SendMessage');
  grantControlQueues(to, {
    fleet,
    grantee: to.function,
    actions: ['sqs:SendMessage'],
    reason: 'Handlers ask workers.',
  });
}
