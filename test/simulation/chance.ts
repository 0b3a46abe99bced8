import { type Random, seededRandom } from '../../shared/random.ts';

/** Draws of one part of a run. Each part has its own, so that a change in one does not move all the others. */
export class Chance {
  readonly random: Random;

  constructor(seed: number, part: string) {
    let mixed = seed >>> 0;
    for (const character of part) mixed = Math.imul(mixed ^ (character.codePointAt(0) as number), 0x9e3779b1) >>> 0;
    this.random = seededRandom(mixed ^ (mixed >>> 15));
  }

  /** `true` with this probability. */
  happens(probability: number): boolean {
    return probability > 0 && this.random.next() < probability;
  }

  /** A number in [`from`, `to`). */
  between(from: number, to: number): number {
    return from + this.random.next() * (to - from);
  }

  /** A whole number from `from` to `to`, both included. */
  whole(from: number, to: number): number {
    return Math.floor(this.between(from, to + 1));
  }

  pick<T>(items: readonly T[]): T {
    return items[Math.floor(this.random.next() * items.length)] as T;
  }

  /** One of the keys, in proportion to its weight. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let rest = this.random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      rest -= weight;
      if (rest < 0) return key;
    }
    return (entries.at(-1) as [K, number])[0];
  }

  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i -= 1) {
      const j = this.whole(0, i);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}
