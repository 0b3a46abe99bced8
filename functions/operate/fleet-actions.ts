import * as z from 'zod';
import { missingLine } from '../../shared/control/answers.ts';
import type { Fleet } from '../../shared/control/fleet.ts';
import type { FleetOperations } from '../../shared/control/fleet-operations.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { TimelineDeed, TimelineSink } from '../../shared/stats/timeline.ts';
import type { RebalanceResult } from '../rebalance/rebalance-round.ts';
import { redriveLine, type RedriveRequest, type RedriveResult } from './redrive.ts';

const worker = z.string().min(1).max(128);
const shard = z.int().nonnegative();
const actionSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('migrate'), shard, to: worker }),
  z.strictObject({ kind: z.literal('drain'), worker }),
  /** `fresh`: gives the session up and IDENTIFYs, which costs some of the daily budget. */
  z.strictObject({ kind: z.literal('respawn'), shard, fresh: z.boolean().default(false) }),
  z.strictObject({ kind: z.literal('rebalance'), dryRun: z.boolean() }),
  /** Puts dead letters of events back on their queue. */
  z.strictObject({ kind: z.literal('redrive'), dryRun: z.boolean() }),
]);

/** What an operator can have done. Workers by name or incarnation. */
export type FleetAction = z.infer<typeof actionSchema>;

/** @throws {BatonError} `REQUEST_INVALID`, saying what is wrong. */
export function readAction(body: string): FleetAction {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    throw new BatonError('REQUEST_INVALID', `an action is a JSON object: ${messageOf(error)}`, { cause: error });
  }
  const parsed = actionSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'action'}: ${message}`);
  throw new BatonError('REQUEST_INVALID', `not an action: ${issues.join('; ')}`);
}

/** A line about a running action: how far it has come, then how it ended. */
export type ActionLine =
  | { readonly progress: string }
  | { readonly done: unknown; readonly summary: string }
  | { readonly error: { readonly code: string; readonly message: string } };

export interface FleetActionsOptions {
  readonly operations: FleetOperations;
  readonly fleet: Fleet;
  readonly rebalance: (request: { dryRun: boolean }) => Promise<RebalanceResult>;
  readonly redrive: (request: Omit<RedriveRequest, 'withinMs'>) => Promise<RedriveResult>;
  readonly timeline: TimelineSink & { flush(): Promise<void> };
  readonly logger: Logger;
}

/** Carries out what operators ask for, one call each, and keeps an entry of who asked for what. */
export class FleetActions {
  readonly #options: FleetActionsOptions;

  constructor(options: FleetActionsOptions) {
    this.#options = options;
  }

  /** Runs to the end. `tell` gets every line, the last one `done` or `error`. Never rejects. */
  async run(
    action: FleetAction,
    { by, tell, signal }: { by: string; tell: (line: ActionLine) => void; signal?: AbortSignal },
  ): Promise<void> {
    const { timeline, logger } = this.#options;
    const isLook = 'dryRun' in action && action.dryRun;
    if (!isLook) {
      logger.info({ by, action }, 'operator.action');
      timeline.record({ kind: 'operator', by, ...deedOf(action) });
      // A move that follows is explained by this entry, so it comes first.
      await timeline.flush();
    }
    try {
      const { done, summary } = await this.#carryOut(action, tell, signal);
      if (!isLook) logger.info({ by, action, summary }, 'operator.action_done');
      tell({ done, summary });
    } catch (error) {
      const code = error instanceof BatonError ? error.code : 'REQUEST_FAILED';
      logger.warn({ by, action, code, error: messageOf(error) }, 'operator.action_failed');
      if (!isLook) {
        const deed = deedOf(action);
        timeline.record({ kind: 'operator', by, ...deed, reason: `${deed.reason} failed: ${messageOf(error)}` });
      }
      tell({ error: { code, message: messageOf(error) } });
    }
    await timeline.flush();
  }

  async #carryOut(
    action: FleetAction,
    tell: (line: ActionLine) => void,
    signal: AbortSignal | undefined,
  ): Promise<{ done: unknown; summary: string }> {
    const { operations, fleet, rebalance, redrive } = this.#options;
    const options = { onProgress: (progress: string) => tell({ progress }), ...(signal && { signal }) };
    switch (action.kind) {
      case 'migrate': {
        const done = await operations.migrate(action.shard, action.to, options);
        const where = done.moved ? `moved from ${done.from} to ${done.to}` : `was with ${done.to} already`;
        return { done, summary: `Shard ${done.shard} ${where} (${done.tookMs} ms)` };
      }
      case 'drain': {
        const done = await operations.drain(action.worker, options);
        return { done, summary: `${done.worker} handed ${done.shards} shards over and left (${done.tookMs} ms)` };
      }
      case 'respawn': {
        const { results, missing } = await fleet.askShards(
          [action.shard],
          { kind: 'respawn', fresh: action.fresh },
          { ...(signal && { signal }) },
        );
        const [result] = results;
        if (result === undefined) throw new BatonError('REQUEST_FAILED', missingLine(missing));
        return { done: result, summary: `Shard ${action.shard} is up again on ${result.worker}` };
      }
      case 'rebalance': {
        const done = await rebalance({ dryRun: action.dryRun });
        return { done, summary: summaryOf(done, action.dryRun) };
      }
      case 'redrive': {
        const { onProgress } = options;
        const done = await redrive({ dryRun: action.dryRun, onProgress });
        return { done, summary: redriveLine(done, action.dryRun) };
      }
    }
  }
}

/** The entry of an action in the timeline. */
export function deedOf(
  action: FleetAction,
): Pick<TimelineDeed, 'shards' | 'to' | 'name' | 'from'> & { reason: string } {
  switch (action.kind) {
    case 'migrate':
      return { reason: 'migrate', shards: [action.shard], to: action.to };
    case 'drain':
      return { reason: 'drain', from: action.worker };
    case 'respawn':
      return { reason: action.fresh ? 'respawn with a new session' : 'respawn', shards: [action.shard] };
    case 'rebalance':
      return { reason: 'rebalance' };
    case 'redrive':
      return { reason: 'redrive' };
  }
}

function summaryOf(result: RebalanceResult, dryRun: boolean): string {
  switch (result.kind) {
    case 'planned': {
      const count = result.moves.length;
      if (count === 0) return 'Nothing to move';
      return `${count} ${count === 1 ? 'move' : 'moves'} ${dryRun ? 'planned' : 'under way'}`;
    }
    case 'noFleet':
      return 'There is no fleet yet';
    case 'superseded':
      return 'Another round is at it';
    case 'unclear':
      return 'It is not clear whether a coordinator lives: nothing was done';
    case 'deserted':
      return 'There is no worker to whom shards could be given';
    case 'cared':
      return 'There was no coordinator: its work was done instead';
  }
}
