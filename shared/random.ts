import { randomUUID } from 'node:crypto';

/** Chance as a parameter, so that one seed decides a whole test run. */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** A fresh UUID. */
  uuid(): string;
}

/** Chance from the operating system. */
export const systemRandom: Random = { next: () => Math.random(), uuid: () => randomUUID() };

/**
 * Chance decided by a seed (mulberry32, a 32-bit generator): the same seed gives the same numbers and UUIDs.
 * For tests, simulations and chaos runs; not for secrets.
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const hex = (digits: number): string =>
    Array.from({ length: digits }, () => Math.floor(next() * 16).toString(16)).join('');
  return { next, uuid: () => `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${hex(12)}` };
}

/** A whole number in [0, `limit`). */
export function randomBelow(random: Random, limit: number): number {
  return Math.floor(random.next() * limit);
}

/** Delay before retry number `attempt` (from 0): exponential back-off with full jitter, in milliseconds. */
export function backoffMs(
  attempt: number,
  random: Random,
  { baseMs, capMs }: { baseMs: number; capMs: number },
): number {
  return random.next() * Math.min(capMs, baseMs * 2 ** attempt);
}
