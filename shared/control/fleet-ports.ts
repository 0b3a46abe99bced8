import type { Clock } from '../clock.ts';
import type { CoordinationStore } from '../coordination/store.ts';
import type { Logger } from '../logger.ts';
import type { Random } from '../random.ts';
import type { ControlPlane } from './control-queue.ts';
import type { Replies } from './replies.ts';

/** What requests are routed by. */
export type FleetReads = Pick<CoordinationStore, 'readFleet' | 'listWorkers' | 'readLeases' | 'listLeases'>;

export interface FleetOptions {
  readonly store: FleetReads;
  readonly control: Pick<ControlPlane, 'send'>;
  readonly replies: Replies;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
