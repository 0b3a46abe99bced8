import type { Clock } from '../shared/clock.ts';
import type { ShardMode } from '../shared/config.ts';
import { refreshedBudget } from '../shared/coordination/identify-budget.ts';
import type { FleetState } from '../shared/coordination/model.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { backoffMs, type Random } from '../shared/random.ts';
import type { GatewayBot } from './gateway-bot.ts';

export interface FleetSetupDeps {
  readonly askGatewayBot: (signal: AbortSignal) => Promise<GatewayBot>;
  readonly store: CoordinationStore;
  readonly sharding: ShardMode;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Tries at Discord before a worker of a fleet that is already known goes on without an answer, and a first one gives up. */
const maxAttempts = 5;

/**
 * What the fleet has agreed on: shard count, identify buckets and gateway URL. The first worker writes it from
 * `GET /gateway/bot`; later ones keep the shard count that is stored, and can start while Discord's REST is down.
 * Also tells the fleet the identify budget that Discord reports.
 * @throws {BatonError} `DISCORD_UNAUTHORIZED` when Discord refuses the token (never retried: refusals count towards a ban),
 *   `DISCORD_UNREACHABLE` when there is neither an answer nor a stored state; `StoreUnavailable`.
 */
export async function agreeOnFleet(deps: FleetSetupDeps, signal: AbortSignal): Promise<FleetState> {
  const { store, sharding, logger } = deps;
  const stored = await store.readFleet();
  const budget = await store.readBudget();
  const bot = await askDiscord(deps, stored !== undefined, signal);
  if (bot === undefined) {
    if (stored === undefined) throw new BatonError('DISCORD_UNREACHABLE', 'stopped before Discord had answered');
    return withOwnCount(stored, sharding);
  }
  await store.refreshBudget(budget?.version, refreshedBudget(budget, bot.budget));
  const configured = configuredCount(sharding);
  const next: FleetState = {
    shardCount: stored?.shardCount ?? configured ?? bot.shardCount,
    maxConcurrency: bot.maxConcurrency,
    gatewayUrl: bot.gatewayUrl,
  };
  if (stored && configured !== undefined && configured !== stored.shardCount) {
    logger.warn({ configured, fleet: stored.shardCount }, 'fleet.shard_count_differs');
  }
  const isKnown = stored?.maxConcurrency === next.maxConcurrency && stored.gatewayUrl === next.gatewayUrl;
  const outcome = isKnown ? undefined : await store.swapFleet(stored, next);
  return withOwnCount(outcome?.value ?? stored ?? next, sharding);
}

/** Workers with a list of their own run it as they were told, whatever the fleet has. */
function withOwnCount(fleet: FleetState, sharding: ShardMode): FleetState {
  const configured = configuredCount(sharding);
  return sharding.mode === 'fleet' || configured === undefined ? fleet : { ...fleet, shardCount: configured };
}

function configuredCount(sharding: ShardMode): number | undefined {
  switch (sharding.mode) {
    case 'single':
      return 1;
    case 'explicit':
      return sharding.totalShards;
    case 'fleet':
      return sharding.totalShards === 'auto' ? undefined : sharding.totalShards;
  }
}

/** `GET /gateway/bot`; `undefined` when Discord does not answer and `canDoWithout`. */
async function askDiscord(
  deps: FleetSetupDeps,
  canDoWithout: boolean,
  signal: AbortSignal,
): Promise<GatewayBot | undefined> {
  const { askGatewayBot, clock, random, logger } = deps;
  let lastError: unknown;
  for (let attempt = 0; attempt < maxAttempts && !signal.aborted; attempt += 1) {
    try {
      return await askGatewayBot(signal);
    } catch (error) {
      if (error instanceof BatonError && error.code === 'DISCORD_UNAUTHORIZED') throw error;
      lastError = error;
      logger.warn({ attempt, error: messageOf(error) }, 'discord.gateway_bot_failed');
      await clock.sleep(backoffMs(attempt, random, { baseMs: 1000, capMs: 8000 }), signal);
    }
  }
  if (canDoWithout || signal.aborted) return undefined;
  throw lastError;
}
