/** A deferral: a message that is to come, or, for components, the message they are on, left as it is. */
export type Deferral = { readonly as: 'message'; readonly ephemeral: boolean } | { readonly as: 'update' };

/** Where an interaction stands: what may be said next, and by which way, depends on it. */
export type AnswerState =
  | { readonly kind: 'open' }
  /** `given` is what Discord was told; `wanted` what the handler asked for, which it may have done later than the clock. */
  | { readonly kind: 'deferred'; readonly given: Deferral; readonly wanted: Deferral | undefined }
  /** `replyId`: the message that edits of the reply go to. */
  | { readonly kind: 'answered'; readonly replyId: string };

/** What a handler, or the clock, wants of an interaction. `ephemeral: undefined`: whatever was deferred. */
export type AnswerRequest =
  | { readonly kind: 'reply' | 'followUp'; readonly ephemeral: boolean | undefined }
  | { readonly kind: 'defer'; readonly deferral: Deferral }
  | { readonly kind: 'editReply' | 'deleteReply' | 'update' | 'showModal' };

/** How to do it. */
export type AnswerStep =
  /** As the interaction's first answer. */
  | { readonly how: 'first' }
  | { readonly how: 'nothing'; readonly next: AnswerState }
  /** By changing, or deleting, a message that is there. */
  | { readonly how: 'message'; readonly id: string }
  /**
   * By a message of its own. `replacing`: the deferred one goes first, because Discord would show the new one as public
   * as that was. `isReply`: later edits of the reply go to it.
   */
  | { readonly how: 'followUp'; readonly replacing: boolean; readonly ephemeral: boolean; readonly isReply: boolean }
  | { readonly how: 'refuse'; readonly reason: string };

/** Name of the first answer's message in Discord's routes; for an update, of the message that the component is on. */
export const original = '@original';

/** What to do about `request`. Pure: the same state and request give the same step. */
export function answerStep(state: AnswerState, request: AnswerRequest): AnswerStep {
  switch (state.kind) {
    case 'open':
      return whileOpen(request);
    case 'deferred':
      return afterDeferral(state, request);
    case 'answered':
      return afterAnswer(state, request);
  }
}

function whileOpen(request: AnswerRequest): AnswerStep {
  switch (request.kind) {
    case 'reply':
    case 'defer':
    case 'update':
    case 'showModal':
      return { how: 'first' };
    case 'editReply':
    case 'deleteReply':
    case 'followUp':
      return { how: 'refuse', reason: `${request.kind} comes after a first answer, and there is none: reply or defer` };
  }
}

function afterDeferral(
  { given, wanted }: Extract<AnswerState, { kind: 'deferred' }>,
  request: AnswerRequest,
): AnswerStep {
  switch (request.kind) {
    case 'defer':
      return wanted === undefined
        ? { how: 'nothing', next: { kind: 'deferred', given, wanted: request.deferral } }
        : { how: 'refuse', reason: 'the interaction was deferred before' };
    case 'reply':
      return deferredMessage(given, wanted, request.ephemeral);
    case 'editReply':
      return given.as === 'message' || wanted?.as === 'message'
        ? deferredMessage(given, wanted, undefined)
        : { how: 'message', id: original };
    case 'followUp': {
      const step = deferredMessage(given, wanted, request.ephemeral);
      return step.how === 'followUp'
        ? { ...step, isReply: false }
        : { ...plainFollowUp, ephemeral: isEphemeral(given) };
    }
    case 'deleteReply':
      return { how: 'message', id: original };
    case 'update':
      return given.as === 'update'
        ? { how: 'message', id: original }
        : { how: 'refuse', reason: 'update comes first or after deferUpdate, and a message of its own was deferred' };
    case 'showModal':
      return {
        how: 'refuse',
        reason:
          'a form can only be the first answer, and the interaction was deferred; a handler that may need longer than two seconds before it shows one sets autoDefer: false',
      };
  }
}

const plainFollowUp = { how: 'followUp', replacing: false, ephemeral: false, isReply: false } as const;

/** The message that was deferred, or was to be: in its place, unless that would show to everybody what is for one. */
function deferredMessage(given: Deferral, wanted: Deferral | undefined, ephemeral: boolean | undefined): AnswerStep {
  const forOne = ephemeral ?? isEphemeral(wanted ?? given);
  if (given.as === 'update') return { how: 'followUp', replacing: false, ephemeral: forOne, isReply: true };
  if (forOne && !given.ephemeral) return { how: 'followUp', replacing: true, ephemeral: true, isReply: true };
  return { how: 'message', id: original };
}

function isEphemeral(deferral: Deferral): boolean {
  return deferral.as === 'message' && deferral.ephemeral;
}

function afterAnswer({ replyId }: Extract<AnswerState, { kind: 'answered' }>, request: AnswerRequest): AnswerStep {
  switch (request.kind) {
    case 'editReply':
    case 'deleteReply':
      return { how: 'message', id: replyId };
    case 'followUp':
      return { ...plainFollowUp, ephemeral: request.ephemeral === true };
    case 'reply':
    case 'defer':
    case 'update':
    case 'showModal':
      return {
        how: 'refuse',
        reason: `${request.kind} is a first answer, and there was one: use followUp or editReply`,
      };
  }
}
