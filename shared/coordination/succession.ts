import type { CoordinatorRole, Incarnation, WorkerRecord } from './model.ts';

/** Time the next in order has for itself before the one after it may try. */
export const successionStepMs = 1000;

/** The order of succession: the original coordinator first, then by age in the fleet; the draining and the dead are left out. */
export function successionOrder(workers: readonly WorkerRecord[], dead: ReadonlySet<Incarnation>): WorkerRecord[] {
  return workers
    .filter((worker) => worker.assignable && !worker.draining && !dead.has(worker.incarnation))
    .sort(
      (one, other) =>
        Number(other.originalCoordinator) - Number(one.originalCoordinator) || one.joinNumber - other.joinNumber,
    );
}

/** Who may follow `holder`, in order. A holder that is dead keeps nobody waiting for its turn. */
export function heirs(order: readonly WorkerRecord[], holder: Incarnation | undefined): WorkerRecord[] {
  return order.filter(({ incarnation }) => incarnation !== holder);
}

/** The role's liveness counter: it moves with every write of its holder, and with every change of holder. */
export function roleCounter({ term, counter }: CoordinatorRole): number {
  return term * 1e9 + counter;
}

export interface RoleView {
  readonly me: Incarnation;
  readonly role: CoordinatorRole | undefined;
  readonly order: readonly WorkerRecord[];
  /** How long the role has been without a living holder, by this observer's clock; `undefined` while it has one. */
  readonly vacantForMs: number | undefined;
  /** Others that this observer has lately seen to be alive. Only they are given the role. */
  readonly seenAlive: ReadonlySet<Incarnation>;
}

export type RoleDecision =
  | { readonly kind: 'hold' }
  | { readonly kind: 'take' }
  /** Give the role to `to`, or to whoever comes first when there is none. */
  | { readonly kind: 'yield'; readonly to: Incarnation | undefined }
  | { readonly kind: 'wait' };

/**
 * What this worker should do about the coordinator's role. The holder keeps it unless it drains, or unless the
 * original coordinator is back and alive: that one gets it at the end of a tick. A vacant role is for the first of the
 * {@link heirs}, and {@link successionStepMs} later for the next; the conditional write decides.
 */
export function decideRole({ me, role, order, vacantForMs, seenAlive }: RoleView): RoleDecision {
  if (role?.holder === me) {
    if (!order.some(({ incarnation }) => incarnation === me))
      return { kind: 'yield', to: order.find(({ incarnation }) => seenAlive.has(incarnation))?.incarnation };
    const original = order.find(
      ({ originalCoordinator, incarnation }) =>
        originalCoordinator && (incarnation === me || seenAlive.has(incarnation)),
    );
    return original === undefined || original.incarnation === me
      ? { kind: 'hold' }
      : { kind: 'yield', to: original.incarnation };
  }
  const rank = heirs(order, role?.holder).findIndex(({ incarnation }) => incarnation === me);
  if (rank === -1 || vacantForMs === undefined || vacantForMs < rank * successionStepMs) return { kind: 'wait' };
  return { kind: 'take' };
}
