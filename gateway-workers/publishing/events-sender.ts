import type { EnvelopeHeader } from '../../shared/envelope.ts';

/** One envelope, ready to be sent. */
export interface OutgoingEnvelope {
  readonly header: EnvelopeHeader;
  readonly payload: Buffer;
}

/**
 * `sent`: SQS has it (perhaps from before). `failed`: it has not, or nobody knows; try again under the same id.
 * `refused`: SQS will never take it as it is.
 */
export type SendOutcome = 'sent' | 'failed' | 'refused';

/** The events queue as the flush cycle sees it. */
export interface EventsSender {
  /** Sends envelopes of distinct groups in one request; at most ten, together below 1 MiB. Never rejects. */
  sendBatch(envelopes: readonly OutgoingEnvelope[]): Promise<SendOutcome[]>;
}

/** The interactions queue as a shard sees it. */
export interface InteractionsSender {
  /** Sends one message body. Never rejects. */
  sendInteraction(body: string): Promise<SendOutcome>;
}
