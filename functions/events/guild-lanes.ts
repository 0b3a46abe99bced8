import type { QueuedEvent } from './delivery.ts';

/** Events that must run one after the other. */
export type Lane<Work> = { readonly work: Work; readonly event: QueuedEvent }[];

/**
 * Splits the events of a batch into lanes: one for each guild of each message group, and one for a group's events
 * without a guild. `works` come in the order of the queue, so a lane keeps a guild's order across messages too.
 */
export function guildLanes<Work extends { readonly group: string; readonly events: readonly QueuedEvent[] }>(
  works: readonly Work[],
): Lane<Work>[] {
  const groups = new Map<string, Map<string | undefined, Lane<Work>>>();
  for (const work of works) {
    let lanes = groups.get(work.group);
    if (!lanes) groups.set(work.group, (lanes = new Map()));
    for (const event of work.events) {
      let lane = lanes.get(event.guildId);
      if (!lane) lanes.set(event.guildId, (lane = []));
      lane.push({ work, event });
    }
  }
  return [...groups.values()].flatMap((lanes) => [...lanes.values()]);
}
