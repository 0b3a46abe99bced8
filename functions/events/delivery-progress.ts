import type { DeliveryMarks, ProgressOutcome } from './delivery-marks.ts';

/**
 * Keeps the mark of one redelivered message. An event may start only when a mark that says so is stored, so after a
 * crash the next delivery knows what was done and what was running. Guilds run side by side: while one write is under
 * way, everything said meanwhile waits for the next, which carries it all.
 */
export class DeliveryProgress {
  readonly #marks: DeliveryMarks;
  readonly #messageId: string;
  readonly #receiveCount: number;
  readonly #done: Set<number>;
  readonly #running = new Set<number>();
  #alone = false;
  #unsaved = false;
  #current: Promise<ProgressOutcome> = Promise.resolve({ kind: 'saved' });
  #next: Promise<ProgressOutcome> | undefined;
  #background: Promise<void> = Promise.resolve();

  constructor(marks: DeliveryMarks, messageId: string, receiveCount: number, done: ReadonlySet<number>) {
    this.#marks = marks;
    this.#messageId = messageId;
    this.#receiveCount = receiveCount;
    this.#done = new Set(done);
  }

  /**
   * Resolves when it is stored that the event at `index` runs. `alone`: nothing else of the invocation does.
   * Rejects when the store gave no answer.
   */
  start(index: number, { alone = false } = {}): Promise<ProgressOutcome> {
    this.#running.add(index);
    this.#alone = alone;
    return this.#save();
  }

  /** The event at `index` has ended; stored as soon as possible. */
  finish(index: number): void {
    this.#running.delete(index);
    this.#done.add(index);
    this.#background = this.#save().then(
      () => {},
      () => {
        // Still unsaved: flush tries once more and tells.
      },
    );
  }

  /** Events that were started and not ended will be started anew: forgets that they run. */
  stop(): void {
    if (this.#running.size === 0) return;
    this.#running.clear();
    this.#unsaved = true;
  }

  /** Stores what is not stored yet. Rejects when the store gave no answer. */
  async flush(): Promise<ProgressOutcome> {
    await this.#background;
    return this.#unsaved ? this.#save() : this.#current;
  }

  #save(): Promise<ProgressOutcome> {
    this.#unsaved = true;
    if (this.#next) return this.#next;
    const write = (): Promise<ProgressOutcome> => {
      this.#next = undefined;
      this.#current = this.#write();
      return this.#current;
    };
    this.#next = this.#current.then(write, write);
    return this.#next;
  }

  async #write(): Promise<ProgressOutcome> {
    this.#unsaved = false;
    try {
      return await this.#marks.saveProgress(this.#messageId, this.#receiveCount, {
        done: new Set(this.#done),
        running: new Set(this.#running),
        alone: this.#alone,
      });
    } catch (error) {
      this.#unsaved = true;
      throw error;
    }
  }
}
