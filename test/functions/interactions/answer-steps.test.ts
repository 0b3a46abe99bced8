import { describe, expect, test } from 'vitest';
import {
  type AnswerRequest,
  type AnswerState,
  answerStep,
  type Deferral,
} from '../../../functions/interactions/answer-steps.ts';

const open: AnswerState = { kind: 'open' };
const forAll: Deferral = { as: 'message', ephemeral: false };
const forOne: Deferral = { as: 'message', ephemeral: true };
const inPlace: Deferral = { as: 'update' };
const deferred = (given: Deferral, wanted?: Deferral): AnswerState => ({ kind: 'deferred', given, wanted });
const answered: AnswerState = { kind: 'answered', replyId: '77' };
const reply = (ephemeral?: boolean): AnswerRequest => ({ kind: 'reply', ephemeral });
const followUp = (ephemeral?: boolean): AnswerRequest => ({ kind: 'followUp', ephemeral });

describe('while Discord waits', () => {
  test.each<AnswerRequest>([reply(), { kind: 'defer', deferral: forAll }, { kind: 'update' }, { kind: 'showModal' }])(
    '$kind is the first answer',
    (request) => expect(answerStep(open, request)).toEqual({ how: 'first' }),
  );

  test.each<AnswerRequest>([{ kind: 'editReply' }, { kind: 'deleteReply' }, followUp()])(
    '$kind has nothing to go by',
    (request) => expect(answerStep(open, request)).toMatchObject({ how: 'refuse' }),
  );
});

describe('after a deferral', () => {
  test.each([
    {
      what: 'a reply takes its place',
      state: deferred(forAll),
      request: reply(),
      step: { how: 'message', id: '@original' },
    },
    {
      what: 'an ephemeral reply takes the place of an ephemeral one',
      state: deferred(forOne),
      request: reply(true),
      step: { how: 'message', id: '@original' },
    },
    {
      what: 'a reply that may be public stays as private as it was deferred',
      state: deferred(forOne),
      request: reply(false),
      step: { how: 'message', id: '@original' },
    },
    {
      what: 'a reply for one user replaces a public one',
      state: deferred(forAll),
      request: reply(true),
      step: { how: 'followUp', replacing: true, ephemeral: true, isReply: true },
    },
    {
      what: 'what the handler deferred for one user is not edited into a public message',
      state: deferred(forAll, forOne),
      request: { kind: 'editReply' },
      step: { how: 'followUp', replacing: true, ephemeral: true, isReply: true },
    },
    {
      what: 'a reply to a component is a message of its own',
      state: deferred(inPlace),
      request: reply(),
      step: { how: 'followUp', replacing: false, ephemeral: false, isReply: true },
    },
    {
      what: 'an edit after defer() to a component does not touch the component’s message',
      state: deferred(inPlace, forOne),
      request: { kind: 'editReply' },
      step: { how: 'followUp', replacing: false, ephemeral: true, isReply: true },
    },
    {
      what: 'an edit of a component’s message edits it',
      state: deferred(inPlace, inPlace),
      request: { kind: 'editReply' },
      step: { how: 'message', id: '@original' },
    },
    {
      what: 'an update edits the component’s message',
      state: deferred(inPlace),
      request: { kind: 'update' },
      step: { how: 'message', id: '@original' },
    },
    {
      what: 'a follow-up is one',
      state: deferred(forOne),
      request: followUp(),
      step: { how: 'followUp', replacing: false, ephemeral: true, isReply: false },
    },
    {
      what: 'a follow-up for one user does not inherit that the deferral was public',
      state: deferred(forAll),
      request: followUp(true),
      step: { how: 'followUp', replacing: true, ephemeral: true, isReply: false },
    },
  ] satisfies { what: string; state: AnswerState; request: AnswerRequest; step: object }[])(
    '$what',
    ({ state, request, step }) => expect(answerStep(state, request)).toEqual(step),
  );

  test('the handler may defer what the clock has deferred, once', () => {
    const step = answerStep(deferred(forAll), { kind: 'defer', deferral: forOne });
    expect(step).toEqual({ how: 'nothing', next: deferred(forAll, forOne) });
    expect(answerStep(deferred(forAll, forOne), { kind: 'defer', deferral: forOne })).toMatchObject({ how: 'refuse' });
  });

  test('a form comes too late, and the reason says what to do', () => {
    expect(answerStep(deferred(forAll), { kind: 'showModal' })).toMatchObject({
      reason: expect.stringContaining('autoDefer: false') as string,
    });
  });
});

describe('after an answer', () => {
  test.each<AnswerRequest>([reply(), { kind: 'defer', deferral: forAll }, { kind: 'update' }, { kind: 'showModal' }])(
    '$kind is refused',
    (request) => expect(answerStep(answered, request)).toMatchObject({ how: 'refuse' }),
  );

  test('edits and deletion go to the reply, wherever it is', () => {
    expect(answerStep(answered, { kind: 'editReply' })).toEqual({ how: 'message', id: '77' });
    expect(answerStep(answered, { kind: 'deleteReply' })).toEqual({ how: 'message', id: '77' });
  });

  test('follow-ups are public unless they say otherwise', () => {
    expect(answerStep(answered, followUp())).toMatchObject({ how: 'followUp', ephemeral: false });
    expect(answerStep(answered, followUp(true))).toMatchObject({ how: 'followUp', ephemeral: true });
  });
});
