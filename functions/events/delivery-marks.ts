/** How far the invocations before this one came with a message. Events are named by their place in the envelope. */
export interface Progress {
  /** Ended: handled, or in the dead-letter queue. */
  readonly done: ReadonlySet<number>;
  /** Running when this was written. */
  readonly running: ReadonlySet<number>;
  /** Nothing else of the invocation was running. */
  readonly alone: boolean;
}

export type ProgressOutcome =
  | { readonly kind: 'saved' }
  /** A later delivery of the same message has written: this one has lost its claim on it. */
  | { readonly kind: 'superseded' };

export type GuardOutcome =
  /** The mark now stands at `last`; `previous` is where it stood, if there was one. */
  | { readonly kind: 'raised'; readonly previous: number | undefined }
  /** It stood at `last` or further on already. */
  | { readonly kind: 'behind' };

/** What consumers remember between invocations. Every method rejects when the store gave no answer. */
export interface DeliveryMarks {
  loadProgress(messageId: string): Promise<Progress | undefined>;
  /** Writes unless a delivery with a higher receive count has written. */
  saveProgress(messageId: string, receiveCount: number, progress: Progress): Promise<ProgressOutcome>;
  /** Moves the high-water mark of a group's session up to `last`; it never goes down. */
  raiseGuard(group: string, session: string, last: number): Promise<GuardOutcome>;
}
