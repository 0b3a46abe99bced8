import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { shardIdOfGuild } from '../../shared/sharding.ts';
import { count, duration, milliseconds, plural, rate } from './formats.ts';
import type { FleetPicture, ShardCell, WorkerGroup } from './fleet-model.ts';
import { type CellColour, ShardCells } from './shard-cells.ts';
import { type ShardStatus, shardStatuses, statusWords } from './shard-status.ts';

export interface ShardMapProps {
  readonly picture: FleetPicture;
  readonly selected: number | undefined;
  readonly mayAct: boolean;
  readonly onSelect: (shardId: number) => void;
  readonly onMigrate: (shardId: number, to: string) => void;
  readonly onDrain: (worker: string) => void;
  readonly onRebalance: () => void;
}

const dragType = 'application/x-baton-shard';

/** Every shard a cell, grouped by the worker that has it. */
export function ShardMap(props: ShardMapProps) {
  const { picture, mayAct, onRebalance } = props;
  const [colour, setColour] = useState<CellColour>('state');
  const [statuses, setStatuses] = useState<ReadonlySet<ShardStatus>>(new Set());
  const [search, setSearch] = useState('');
  const matching = useMemo(() => matchingShards(picture, statuses, search.trim()), [picture, statuses, search]);
  const total = picture.view.shardCount ?? 0;
  const highest = useMemo(() => highestOf(picture, colour), [picture, colour]);
  const toggle = (status: ShardStatus): void => {
    const next = new Set(statuses);
    if (!next.delete(status)) next.add(status);
    setStatuses(next);
  };
  return (
    <section class="panel map" aria-labelledby="map-title">
      <header class="panel-head">
        <h2 id="map-title">Shards</h2>
        <div class="legend" role="group" aria-label="Show only shards that are">
          {shardStatuses.map((status) => (
            <button
              key={status}
              type="button"
              class="chip"
              aria-pressed={statuses.has(status)}
              title={statusWords[status].meaning}
              onClick={() => toggle(status)}
            >
              <span class={`swatch is-${status}`} />
              {statusWords[status].label} <b>{count(picture.counts[status])}</b>
            </button>
          ))}
        </div>
        <div class="map-tools">
          <input
            type="search"
            class="search"
            placeholder="Shard, guild id or worker"
            aria-label="Find a shard by its id, a guild id or its worker"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
            onKeyDown={(event) => {
              const [first] = matching ?? [];
              if (event.key === 'Enter' && first !== undefined) props.onSelect(first);
            }}
          />
          <label class="select">
            <span class="visually-hidden">Colour by</span>
            <select value={colour} onChange={(event) => setColour(event.currentTarget.value as CellColour)}>
              <option value="state">Colour: state</option>
              <option value="events">Colour: events/s</option>
              <option value="latency">Colour: latency</option>
            </select>
          </label>
          {mayAct && (
            <button type="button" class="button" onClick={onRebalance}>
              Rebalance…
            </button>
          )}
        </div>
      </header>
      <p class="visually-hidden" role="status">
        {matching === undefined ? '' : `${plural(matching.size, 'shard')} found`}
      </p>
      <div class={`groups size-${sizeOf(total)}`}>
        {picture.groups.map((group) => (
          <Group key={group.key} group={group} {...props} colour={colour} highest={highest} matching={matching} />
        ))}
        {picture.groups.length === 0 && <p class="empty">No worker has joined yet.</p>}
      </div>
    </section>
  );
}

/** Large cells carry their number; of thousands only the colour is left. */
function sizeOf(total: number): 'l' | 'm' | 's' | 'xs' {
  if (total <= 64) return 'l';
  if (total <= 256) return 'm';
  return total <= 1200 ? 's' : 'xs';
}

interface GroupProps extends ShardMapProps {
  readonly group: WorkerGroup;
  readonly colour: CellColour;
  readonly highest: number;
  readonly matching: ReadonlySet<number> | undefined;
}

function Group({ group, picture, selected, mayAct, colour, highest, matching, ...on }: GroupProps) {
  const { worker, status, cells } = group;
  const host = useRef<HTMLDivElement>(null);
  const drawn = useRef<ShardCells | undefined>(undefined);
  const [active, setActive] = useState<number | undefined>(undefined);
  const [isTarget, setIsTarget] = useState(false);
  const isCoordinator = worker !== undefined && picture.view.coordinator === worker.incarnation;
  const takesShards = mayAct && worker !== undefined && status === 'live';
  const activeHere = cells.some(({ shard }) => shard.id === active) ? active : undefined;

  useEffect(() => {
    if (host.current === null) return;
    drawn.current ??= new ShardCells(host.current);
    drawn.current.update({ cells, colour, highest, matching, selected, active: activeHere, draggable: mayAct });
  }, [cells, colour, highest, matching, selected, activeHere, mayAct]);

  const onKeyDown = (event: KeyboardEvent): void => {
    const next = cellByKey(event.key, cells, activeHere, host.current);
    if (next !== undefined) {
      event.preventDefault();
      setActive(next);
      document.getElementById(`shard-${next}`)?.scrollIntoView({ block: 'nearest' });
    } else if ((event.key === 'Enter' || event.key === ' ') && activeHere !== undefined) {
      event.preventDefault();
      on.onSelect(activeHere);
    }
  };
  const shardOf = (event: Event): number | undefined => {
    const cell = (event.target as HTMLElement).closest<HTMLElement>('[data-shard]');
    return cell === null ? undefined : Number(cell.dataset['shard']);
  };
  const name = worker?.workerId ?? 'No worker';
  return (
    <article
      class={`group is-${worker === undefined ? 'none' : status} ${isTarget ? 'is-target' : ''}`}
      data-worker={worker?.workerId}
      aria-label={name}
      onDragOver={(event) => {
        if (!takesShards || !event.dataTransfer?.types.includes(dragType)) return;
        event.preventDefault();
        event.dataTransfer.dropEffect = 'move';
        setIsTarget(true);
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setIsTarget(false);
      }}
      onDrop={(event) => {
        setIsTarget(false);
        const dragged = event.dataTransfer?.getData(dragType) ?? '';
        if (!takesShards || dragged === '' || cells.some(({ shard }) => shard.id === Number(dragged))) return;
        event.preventDefault();
        on.onMigrate(Number(dragged), name);
      }}
    >
      <header>
        <h3>
          {isCoordinator && <Crown />}
          <WorkerName name={name} />
        </h3>
        {status !== 'live' && (
          <span class={`pill is-${worker === undefined ? 'none' : status}`}>{groupWord(group)}</span>
        )}
        <span class="grow" />
        <span class="rate">{rate(worker?.eventsPerSecond)}/s</span>
        <span class="load">{worker === undefined ? count(cells.length) : `${readyOf(cells)}/${cells.length}`}</span>
        {takesShards && (
          <button type="button" class="button small" onClick={() => on.onDrain(name)} aria-label={`Drain ${name}`}>
            Drain…
          </button>
        )}
      </header>
      {worker !== undefined && (
        <dl class="facts">
          <Meter
            label="CPU"
            percent={worker.cpuPercent}
            text={worker.cpuPercent === undefined ? '–' : `${Math.round(worker.cpuPercent)} %`}
          />
          <Fact label="Memory" value={worker.memoryMb === undefined ? '–' : `${count(worker.memoryMb)} MB`} />
          <Fact label="Events" value={`${rate(worker.eventsPerSecond)}/s`} />
          <Fact label="Epoch" value={epochsOf(cells)} />
          <Fact label="Up" value={duration(worker.figures?.uptimeMs)} />
          <Fact label="Flush" value={milliseconds(worker.figures?.flushMs)} />
        </dl>
      )}
      <div
        ref={host}
        class="cells"
        role="listbox"
        aria-label={`Shards of ${name}`}
        tabIndex={cells.length === 0 ? undefined : 0}
        aria-activedescendant={activeHere === undefined ? undefined : `shard-${activeHere}`}
        onKeyDown={onKeyDown}
        onFocus={() => setActive((before) => before ?? cells[0]?.shard.id)}
        onClick={(event) => {
          const shardId = shardOf(event);
          if (shardId === undefined) return;
          setActive(shardId);
          on.onSelect(shardId);
        }}
        onDragStart={(event) => {
          const shardId = shardOf(event);
          if (shardId === undefined || event.dataTransfer === null) return;
          event.dataTransfer.setData(dragType, String(shardId));
          event.dataTransfer.effectAllowed = 'move';
        }}
      />
    </article>
  );
}

/** Names of hosts differ at their end, so what does not fit is left out before it. */
function WorkerName({ name }: { name: string }) {
  const end = name.length > 14 ? name.length - 8 : name.length;
  return (
    <span class="name" title={name}>
      <span class="name-start">{name.slice(0, end)}</span>
      <span>{name.slice(end)}</span>
    </span>
  );
}

function Fact({ label, value }: { label: string; value: string }) {
  return (
    <div class="fact">
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Meter({ label, percent, text }: { label: string; percent: number | undefined; text: string }) {
  const level = (percent ?? 0) >= 85 ? 'is-high' : (percent ?? 0) >= 60 ? 'is-raised' : '';
  return (
    <div class="fact has-meter">
      <dt>{label}</dt>
      <dd>
        {text}
        <span class={`meter ${level}`}>
          <span style={{ transform: `scaleX(${Math.min(1, (percent ?? 0) / 100)})` }} />
        </span>
      </dd>
    </div>
  );
}

function Crown() {
  return (
    <svg class="crown" viewBox="0 0 16 16" role="img" aria-label="Coordinator">
      <title>Coordinator</title>
      <path d="M2 12.5 1 4.8l3.7 2.4L8 2.2l3.3 5L15 4.8l-1 7.7z" />
    </svg>
  );
}

function readyOf(cells: readonly ShardCell[]): number {
  return cells.filter(({ status }) => status === 'ready' || status === 'moving').length;
}

function groupWord({ worker, status }: WorkerGroup): string {
  if (worker === undefined) return 'waiting';
  if (status !== 'dead') return status;
  if (worker.fenced) return 'dead';
  return worker.process === 'ended' ? 'ended' : `silent for ${duration(worker.stillForMs)}`;
}

/** How often its shards have changed hands: the lowest and the highest epoch. */
function epochsOf(cells: readonly ShardCell[]): string {
  if (cells.length === 0) return '–';
  let lowest = Number.POSITIVE_INFINITY;
  let highest = 0;
  for (const { shard } of cells) {
    lowest = Math.min(lowest, shard.epoch);
    highest = Math.max(highest, shard.epoch);
  }
  return lowest === highest ? String(lowest) : `${lowest}–${highest}`;
}

function highestOf({ cells }: FleetPicture, colour: CellColour): number {
  if (colour === 'state') return 0;
  let highest = 0;
  for (const { shard } of cells.values()) {
    highest = Math.max(highest, (colour === 'events' ? shard.eventsPerSecond : shard.latencyMs) ?? 0);
  }
  return highest;
}

/** `undefined` when nothing is asked for. */
function matchingShards(
  { cells, groups, view }: FleetPicture,
  statuses: ReadonlySet<ShardStatus>,
  search: string,
): ReadonlySet<number> | undefined {
  if (statuses.size === 0 && search === '') return undefined;
  const isFound = searchFor(search, groups, view.shardCount ?? 0);
  const found = [...cells.values()].filter(
    (cell) => (statuses.size === 0 || statuses.has(cell.status)) && isFound(cell),
  );
  return new Set(found.map(({ shard }) => shard.id));
}

function searchFor(search: string, groups: readonly WorkerGroup[], shardCount: number): (cell: ShardCell) => boolean {
  if (search === '') return () => true;
  // Ids of Discord have seventeen digits and more, so no shard's can be taken for one.
  if (/^\d{15,20}$/.test(search) && shardCount > 0) {
    const id = shardIdOfGuild(search, shardCount);
    return ({ shard }) => shard.id === id;
  }
  if (/^\d+$/.test(search)) return ({ shard }) => shard.id === Number(search);
  const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(search);
  if (range) return ({ shard }) => shard.id >= Number(range[1]) && shard.id <= Number(range[2]);
  const words = search.toLowerCase();
  const owners = new Set(
    groups.filter(({ worker }) => worker?.workerId.toLowerCase().includes(words)).map(({ key }) => key),
  );
  return ({ shard }) => owners.has(shard.owner ?? '') || shard.state.toLowerCase().includes(words);
}

/** Arrows go by what is seen: a row is as long as the space allows. */
function cellByKey(
  key: string,
  cells: readonly ShardCell[],
  active: number | undefined,
  host: HTMLElement | null,
): number | undefined {
  if (cells.length === 0 || host === null) return undefined;
  const index = cells.findIndex(({ shard }) => shard.id === active);
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columnsOf(host), ArrowDown: columnsOf(host) }[key];
  const next =
    key === 'Home' ? 0 : key === 'End' ? cells.length - 1 : step === undefined ? undefined : Math.max(0, index) + step;
  return next === undefined ? undefined : cells[next]?.shard.id;
}

function columnsOf(host: HTMLElement): number {
  const top = (host.firstElementChild as HTMLElement | null)?.offsetTop;
  const cells = [...host.children] as HTMLElement[];
  const second = cells.findIndex((cell) => cell.offsetTop !== top);
  return second === -1 ? cells.length : second;
}
