import { API } from '@discordjs/core';
import type { InteractionClaims } from '../../../functions/interactions/interaction-claims.ts';
import type { InteractionsDeps, ObservedInteraction } from '../../../functions/interactions/run-interaction.ts';
import type { HandlerServices } from '../../../functions/kit/handler-context.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import type { ShardReader } from '../../../functions/kit/shard-context.ts';
import type { Clock } from '../../../shared/clock.ts';
import { createDiscordRest } from '../../../shared/discord-rest.ts';
import type { Logger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';

export interface LogLine {
  readonly event: string;
  readonly fields: Record<string, unknown>;
}

export function recordingLogger(lines: LogLine[], bound: object = {}): Logger {
  const write = (fields: object, event: string) => void lines.push({ event, fields: { ...bound, ...fields } });
  const child = (fields: object) => recordingLogger(lines, { ...bound, ...fields });
  return { debug: write, info: write, warn: write, error: write, child };
}

/** Claims as the table keeps them, in memory. */
export function memoryClaims(): Pick<InteractionClaims, 'claim'> {
  const claimed = new Set<string>();
  return {
    async claim(id) {
      const isFirst = !claimed.has(id);
      claimed.add(id);
      return isFirst;
    },
  };
}

/** Handlers of these tests ask for nothing but `api`. */
export function servicesAt(discordApiUrl: string): HandlerServices {
  const api = new API(createDiscordRest({ token: 'test-token', discordApiUrl }));
  return { api } as unknown as HandlerServices;
}

export const noShards: ShardReader = {
  figures: () => Promise.reject(new Error('not asked for here')),
  guildIds: () => Promise.reject(new Error('not asked for here')),
};

let made = 0;
/** A fresh id, as Discord would have made it at `atMs` (Unix milliseconds). */
export function snowflakeAt(atMs: number): string {
  made += 1;
  return String((BigInt(Math.round(atMs - 1_420_070_400_000)) << 22n) + BigInt(made));
}

/** A slash command as Discord sends it, made at `atMs`. */
export function commandInteraction(name: string, atMs: number, overrides: object = {}) {
  return {
    id: snowflakeAt(atMs),
    application_id: '900',
    type: 2,
    token: 'interaction-token',
    version: 1,
    guild_id: '41771983423143937',
    channel_id: '700',
    locale: 'de',
    member: { user: { id: '53908232506183680', username: 'somebody' } },
    data: { id: '1', name, type: 1 },
    ...overrides,
  };
}

/** What both ways of interactions need, with records of what was logged and of what became of interactions. */
export function interactionsDeps(options: {
  readonly discordApiUrl: string;
  readonly handlers: Readonly<Record<string, unknown>>;
  readonly clock: Clock;
}) {
  const observed: ObservedInteraction[] = [];
  const lines: LogLine[] = [];
  const deps: InteractionsDeps = {
    registry: createRegistry([{ file: 'handlers/test.ts', exports: options.handlers }]),
    claims: memoryClaims(),
    services: servicesAt(options.discordApiUrl),
    clock: options.clock,
    random: seededRandom(1),
    logger: recordingLogger(lines),
    observe: (seen) => observed.push(seen),
  };
  return { deps, lines, observed, outcomes: () => observed.map(({ outcome }) => outcome) };
}
