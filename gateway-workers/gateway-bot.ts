import { DiscordAPIError, HTTPError, type REST } from '@discordjs/rest';
import { Routes } from 'discord-api-types/v10';
import * as z from 'zod';
import type { Clock } from '../shared/clock.ts';
import type { ReportedBudget } from '../shared/coordination/identify-budget.ts';
import { BatonError, messageOf } from '../shared/errors.ts';

/** What `GET /gateway/bot` says (Discord, "Gateway", Get Gateway Bot). */
export interface GatewayBot {
  readonly gatewayUrl: string;
  /** Recommended shard count. */
  readonly shardCount: number;
  readonly maxConcurrency: number;
  readonly budget: ReportedBudget;
}

const answerSchema = z.object({
  url: z.string().regex(/^wss?:\/\//),
  shards: z.int().positive(),
  session_start_limit: z.object({
    total: z.int().nonnegative(),
    remaining: z.int().nonnegative(),
    reset_after: z.number(),
    max_concurrency: z.int().positive(),
  }),
});

/**
 * Asks Discord once.
 * @throws {BatonError} `DISCORD_UNAUTHORIZED` when it refuses the token: never to be retried, refusals count towards a ban;
 *   `DISCORD_UNREACHABLE` when it does not answer, or not with what it should.
 */
export async function askGatewayBot(rest: REST, clock: Clock, signal: AbortSignal): Promise<GatewayBot> {
  try {
    const {
      url,
      shards,
      session_start_limit: limit,
    } = answerSchema.parse(await rest.get(Routes.gatewayBot(), { signal }));
    return {
      gatewayUrl: url,
      shardCount: shards,
      maxConcurrency: limit.max_concurrency,
      budget: { total: limit.total, remaining: limit.remaining, resetsAtMs: clock.wallClockMs() + limit.reset_after },
    };
  } catch (error) {
    if (isRefusal(error)) {
      throw new BatonError(
        'DISCORD_UNAUTHORIZED',
        'Discord refused DISCORD_TOKEN (401): copy the bot token from the developer portal again, it may have been reset',
        { cause: error },
      );
    }
    throw new BatonError('DISCORD_UNREACHABLE', `GET /gateway/bot: ${messageOf(error)}`, { cause: error });
  }
}

function isRefusal(error: unknown): boolean {
  if (error instanceof DiscordAPIError || error instanceof HTTPError)
    return error.status === 401 || error.status === 403;
  // @discordjs/rest turns a 401 of a request with a bot token into a plain error.
  return error instanceof Error && /token/i.test(error.message) && /401|unauthor|invalid/i.test(error.message);
}
