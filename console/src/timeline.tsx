import { Fragment } from 'preact';
import { useState } from 'preact/hooks';
import type { HappeningView } from '../../shared/stats/fleet-view.ts';
import { clockTime, dayOf, plural, shardList } from './formats.ts';
import { reasonWords } from './reason-words.ts';

const filters = {
  all: { label: 'Everything', kinds: undefined },
  moves: { label: 'Moves', kinds: ['handoff', 'takeover', 'grant', 'wish'] },
  workers: { label: 'Workers and role', kinds: ['join', 'leave', 'fence', 'succession'] },
  operators: { label: 'Operators', kinds: ['operator'] },
} as const;
type Filter = keyof typeof filters;

const kindWords: Readonly<Record<HappeningView['kind'], string>> = {
  join: 'Joined',
  leave: 'Left',
  fence: 'Fenced',
  succession: 'Coordinator',
  grant: 'Granted',
  wish: 'Planned',
  handoff: 'Handoff',
  takeover: 'Takeover',
  operator: 'Operator',
};

const mostShown = 200;

/** What happened to shards, workers and the coordinator's role, the latest first. */
export function Timeline({ happenings }: { happenings: readonly HappeningView[] }) {
  const [filter, setFilter] = useState<Filter>('all');
  const kinds = filters[filter].kinds as readonly string[] | undefined;
  const shown = happenings.filter(({ kind }) => kinds === undefined || kinds.includes(kind));
  return (
    <section class="panel timeline" aria-labelledby="timeline-title">
      <header class="panel-head">
        <h2 id="timeline-title">Timeline</h2>
        <span class="grow" />
        <label class="select">
          <span class="visually-hidden">Show in the timeline</span>
          <select value={filter} onChange={(event) => setFilter(event.currentTarget.value as Filter)}>
            {(Object.keys(filters) as Filter[]).map((each) => (
              <option key={each} value={each}>
                {filters[each].label}
              </option>
            ))}
          </select>
        </label>
      </header>
      {/* Scrollable, so it must be reachable by keyboard. */}
      <ol class="happenings" tabIndex={0} aria-labelledby="timeline-title">
        {shown
          .slice(-mostShown)
          .reverse()
          .map((happening, index, latestFirst) => {
            const { atMs, kind, from, to, shards } = happening;
            const day = dayOf(atMs);
            const isFirstOfDay = day !== dayOf(latestFirst[index - 1]?.atMs ?? Date.now());
            return (
              <Fragment key={`${atMs} ${kind} ${from} ${to} ${shards.join()}`}>
                {isFirstOfDay && <li class="day">{day}</li>}
                <Happening {...happening} />
              </Fragment>
            );
          })}
        {shown.length === 0 && <li class="empty">Nothing in the last day.</li>}
      </ol>
    </section>
  );
}

export function Happening(happening: HappeningView) {
  const { atMs, kind, reason } = happening;
  return (
    <li class={`happening is-${kind}`}>
      <time dateTime={new Date(atMs).toISOString()}>{clockTime(atMs)}</time>
      <span class="kind">{kindWords[kind]}</span>
      <span class="what">
        {sentence(happening)}
        {reason !== undefined && kind !== 'operator' && <em>{reasonWords(reason)}</em>}
      </span>
    </li>
  );
}

function sentence({ kind, shards, from, to, reason, by }: HappeningView): string {
  const which =
    shards.length === 0
      ? ''
      : `${shards.length === 1 ? 'Shard' : plural(shards.length, 'shard')} ${shardList(shards, 6)}`;
  switch (kind) {
    case 'join':
      return `${to ?? 'a worker'} joined`;
    case 'leave':
      return `${from ?? 'a worker'} left`;
    case 'fence':
      return `${from ?? 'a worker'} is taken for dead`;
    case 'succession':
      return from === undefined ? `${to ?? 'a worker'} looks after the fleet` : `${to ?? 'a worker'} follows ${from}`;
    case 'grant':
      return `${which} to ${to ?? 'a worker'}`;
    case 'wish':
      return `${which}: ${from ?? 'its worker'} to ${to ?? 'a worker'}`;
    case 'handoff':
    case 'takeover':
      if (from === to) return `${which}: ${from} to its new process`;
      return `${which}: ${from ?? 'its worker'} to ${to ?? 'nobody yet'}`;
    case 'operator':
      return `${by ?? 'somebody'}: ${reason ?? 'action'}${which === '' ? '' : `, ${which.toLowerCase()}`}${to === undefined ? '' : ` to ${to}`}${from === undefined ? '' : ` ${from}`}`;
  }
}
