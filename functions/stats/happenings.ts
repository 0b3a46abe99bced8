import type { Incarnation } from '../../shared/coordination/model.ts';
import type { HappeningView } from '../../shared/stats/fleet-view.ts';
import type { TimelineEntry } from '../../shared/stats/timeline.ts';

const isUuid = /^[0-9a-f]{8}-[0-9a-f]{4}-/;
/** A wish that is older than this is not why a shard moves now. */
const wishLifetimeMs = 5 * 60 * 1000;

/**
 * The timeline as people read it: workers by the names they had, and every move with the reason for which somebody
 * wished it. `entries` are in order of time; `names` are those of the workers that are registered now.
 */
export function happeningsOf(
  entries: readonly TimelineEntry[],
  names: ReadonlyMap<Incarnation, string>,
): HappeningView[] {
  const known = new Map(names);
  for (const { kind, from, to, name } of entries) {
    const incarnation = kind === 'join' ? to : from;
    if (name !== undefined && incarnation !== undefined) known.set(incarnation, name);
  }
  // Operators give names, which are nobody's incarnation.
  const nameOf = (worker: Incarnation): string =>
    known.get(worker) ?? (isUuid.test(worker) ? worker.slice(0, 8) : worker);
  const isSame = (one: string | undefined, other: string | undefined): boolean =>
    one !== undefined && other !== undefined && nameOf(one) === nameOf(other);
  const wishes = new Map<number, TimelineEntry>();
  const silent = new Map<Incarnation, string>();
  return entries.flatMap((entry): HappeningView[] => {
    const { atMs, kind, shards = [], from, to, by } = entry;
    let { reason } = entry;
    if (kind === 'fence' && from !== undefined) silent.set(from, reason ?? 'fenced');
    if (kind === 'wish' || kind === 'operator') for (const shard of shards) wishes.set(shard, entry);
    if (kind === 'handoff') {
      const reasons = shards.flatMap((shard) => {
        const wish = wishes.get(shard);
        return wish?.reason !== undefined && isSame(wish.to, to) && atMs - wish.atMs < wishLifetimeMs
          ? wish.reason
          : [];
      });
      reason ??= [...new Set(reasons)].join(', ') || undefined;
    }
    if (kind === 'takeover' && from !== undefined) reason ??= silent.get(from) ?? 'gone';
    return [
      {
        atMs,
        kind,
        shards,
        ...(from !== undefined && { from: nameOf(from) }),
        ...(to !== undefined && { to: nameOf(to) }),
        ...(reason !== undefined && { reason }),
        ...(by !== undefined && { by }),
      },
    ];
  });
}
