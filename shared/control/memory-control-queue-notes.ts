import type { Incarnation } from '../coordination/model.ts';
import type { ControlQueueNote, ControlQueueNotes } from './control-queue-notes.ts';

/** Notes in the memory of one process, for tests and simulations. */
export class MemoryControlQueueNotes implements ControlQueueNotes {
  readonly #notes = new Map<Incarnation, ControlQueueNote>();

  async note(note: ControlQueueNote): Promise<void> {
    this.#notes.set(note.incarnation, { ...note });
  }

  async forget(incarnation: Incarnation): Promise<void> {
    this.#notes.delete(incarnation);
  }

  async list(): Promise<ControlQueueNote[]> {
    return [...this.#notes.values()];
  }
}
