import type { EnvelopeHeader } from '../../shared/envelope.ts';
import type { GuardOutcome } from './delivery-marks.ts';

export interface GuardVerdict {
  /** Events with a sequence number up to here are not run. */
  readonly skipUpTo: number;
  /** Sequence numbers between the mark and the envelope that never came by: they are run without, and counted. */
  readonly hole: boolean;
}

/** What the group's high-water mark says about an envelope (protocol, "From the queue to the handler"). */
export function judgeEnvelope(header: Pick<EnvelopeHeader, 'after' | 'last'>, outcome: GuardOutcome): GuardVerdict {
  if (outcome.kind === 'behind') return { skipUpTo: header.last, hole: false };
  const { previous } = outcome;
  return { skipUpTo: previous ?? -1, hole: previous !== undefined && header.after > previous };
}
