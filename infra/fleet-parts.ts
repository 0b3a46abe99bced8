import type { DirectoryFunction } from './directory-function.ts';
import type { EventsFunction } from './events-function.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import type { InteractionsEndpoint } from './interactions-endpoint.ts';
import type { InteractionsFunction } from './interactions-function.ts';
import type { RebalanceFunction } from './rebalance-function.ts';
import type { StatsFunction } from './stats-function.ts';
import type { StoppedWorkers } from './stopped-workers.ts';
import type { WorkerService } from './worker-service.ts';

/** The parts of a fleet that are watched. */
export interface FleetParts {
  readonly coordination: FleetTable;
  readonly directory: FleetTable;
  readonly events: FleetQueue;
  readonly interactions: FleetQueue;
  readonly workers: WorkerService;
  readonly eventsFunction: EventsFunction;
  readonly interactionsFunction: InteractionsFunction;
  readonly interactionsEndpoint: InteractionsEndpoint;
  readonly statsFunction: StatsFunction;
  readonly directoryFunction: DirectoryFunction;
  readonly rebalanceFunction: RebalanceFunction;
  readonly stoppedWorkers: StoppedWorkers;
}
