import { GatewayCloseCodes } from 'discord-api-types/v10';
import { describe, expect, test } from 'vitest';
import { closeRule, closeRules, keepSessionCode } from '../../../gateway-workers/gateway/close-codes.ts';

const expected = {
  resume: [1000, 1001, 1005, 1006, 4000, 4001, 4002, 4005, 4008, 4009],
  newSession: [4003, 4007],
  takenAway: [4006],
  fatal: [4004, 4010, 4011, 4012, 4013, 4014],
} as const;

describe.each(Object.entries(expected))('%s', (action, codes) => {
  test.each(codes)('%i', (code) => {
    expect(closeRule(code).action).toBe(action);
  });
});

test('every code that Discord documents has a rule, and there are no others than the expected ones', () => {
  const documented = Object.values(GatewayCloseCodes).filter((code) => typeof code === 'number');
  expect(documented.filter((code) => !(code in closeRules))).toEqual([]);
  expect(new Set(Object.keys(closeRules).map(Number))).toEqual(new Set(Object.values(expected).flat()));
});

test.each([999, 1002, 1011, 3000, 4015, 4999])('unlisted code %i keeps the session', (code) => {
  expect(closeRule(code).action).toBe('resume');
});

test('each fatal code says what to do, and only those', () => {
  for (const rule of Object.values(closeRules)) expect(rule.remedy !== undefined).toBe(rule.action === 'fatal');
});

test('our own code keeps the session', () => {
  expect([1000, 1001]).not.toContain(keepSessionCode);
  expect(closeRule(keepSessionCode).action).toBe('resume');
});
