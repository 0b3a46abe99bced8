import type { Incarnation } from '../coordination/model.ts';

/** A control queue that was made, or is about to be. */
export interface ControlQueueNote {
  readonly incarnation: Incarnation;
  /** Absent when its worker died before it knew. */
  readonly url?: string;
}

/**
 * Which control queues a fleet has ever made and not removed: written down before a queue is made, so that none of a
 * worker that dies is forgotten. Listing queues by the start of their names would show those of other fleets too, and
 * needs a right over all queues of the account.
 */
export interface ControlQueueNotes {
  /** @throws {BatonError} `STORE_UNREACHABLE`. */
  note(note: ControlQueueNote): Promise<void>;
  /** @throws {BatonError} `STORE_UNREACHABLE`. */
  forget(incarnation: Incarnation): Promise<void>;
  /** @throws {BatonError} `STORE_UNREACHABLE`. */
  list(): Promise<ControlQueueNote[]>;
}
