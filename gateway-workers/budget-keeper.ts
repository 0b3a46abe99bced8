import type { Clock } from '../shared/clock.ts';
import { identifyReserve, refreshedBudget } from '../shared/coordination/identify-budget.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { BatonError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { GatewayBot } from './gateway-bot.ts';

/** Discord's figure is fetched this often by whoever looks after the fleet. */
const refreshEveryMs = 60_000;

export interface BudgetKeeperOptions {
  readonly store: CoordinationStore;
  readonly askGatewayBot: (signal: AbortSignal) => Promise<GatewayBot>;
  /** Whether this worker looks after the fleet now. */
  readonly isResponsible: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Keeps the fleet's IDENTIFY budget in step with what Discord says, and says so loudly when little is left. */
export class BudgetKeeper {
  readonly #options: BudgetKeeperOptions;

  constructor(options: BudgetKeeperOptions) {
    this.#options = options;
  }

  /** Runs until `signal` aborts, or until Discord refuses the token: asking again would count towards a ban. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, isResponsible, logger } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(refreshEveryMs, signal);
      if (signal.aborted || !isResponsible()) continue;
      try {
        await this.#refresh(signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof BatonError && error.code === 'DISCORD_UNAUTHORIZED') {
          logger.error({ error: error.message }, 'identify.budget_refused');
          return;
        }
        if (!(error instanceof BatonError)) throw error;
        logger.warn({ error: error.message }, 'identify.budget_not_refreshed');
      }
    }
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const { store, askGatewayBot, logger } = this.#options;
    // Read before asking: what is spent meanwhile changes the version, and the write is refused.
    const before = await store.readBudget();
    const { budget } = await askGatewayBot(signal);
    const outcome = await store.refreshBudget(before?.version, refreshedBudget(before, budget));
    const now = outcome.value;
    if (now === undefined) return;
    const reserve = identifyReserve(now.total);
    if (now.remaining <= reserve) logger.error({ ...now, reserve }, 'identify.budget_low');
    else logger.debug({ ...now }, 'identify.budget');
  }
}
