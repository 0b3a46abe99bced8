import { useEffect, useRef, useState } from 'preact/hooks';
import type { ShardHistory } from '../../shared/stats/fleet-view.ts';
import { readShardHistory } from './fleet-client.ts';
import { count, duration, milliseconds, rate } from './formats.ts';
import type { FleetPicture } from './fleet-model.ts';
import { LineChart } from './line-chart.tsx';
import { closeCode, statusWords } from './shard-status.ts';
import { Happening } from './timeline.tsx';

const historyEveryMs = 10_000;
const daySpanMs = 24 * 60 * 60 * 1000;

export interface ShardPanelProps {
  readonly picture: FleetPicture;
  readonly shardId: number;
  readonly mayAct: boolean;
  readonly theme: string;
  readonly onClose: () => void;
  readonly onMigrate: (shardId: number, to: string) => void;
  readonly onRespawn: (shardId: number, fresh: boolean) => void;
}

/** Everything there is to know about one shard, and what can be done with it. */
export function ShardPanel({ picture, shardId, mayAct, theme, onClose, onMigrate, onRespawn }: ShardPanelProps) {
  const cell = picture.cells.get(shardId);
  const title = useRef<HTMLHeadingElement>(null);
  const history = useHistory(shardId);
  useEffect(() => title.current?.focus(), [shardId]);
  const nameOf = (incarnation: string | undefined): string =>
    picture.view.workers.find((worker) => worker.incarnation === incarnation)?.workerId ??
    incarnation?.slice(0, 8) ??
    'nobody';
  const shard = cell?.shard;
  const figures = shard?.figures;
  const targets = picture.groups
    .filter(({ worker, status }) => worker !== undefined && status === 'live' && worker.incarnation !== shard?.owner)
    .map(({ worker }) => worker?.workerId ?? '');
  return (
    <aside class="shard-panel" aria-labelledby="shard-title" onKeyDown={(event) => event.key === 'Escape' && onClose()}>
      <header>
        <h2 id="shard-title" ref={title} tabIndex={-1}>
          Shard {shardId}
        </h2>
        {cell && <span class={`pill shard is-${cell.status}`}>{statusWords[cell.status].label}</span>}
        <span class="grow" />
        <button type="button" class="button small" onClick={onClose} aria-label="Close the panel">
          Close
        </button>
      </header>
      {shard === undefined ? (
        <p class="empty">The fleet has no such shard.</p>
      ) : (
        <>
          <p class="note">
            {shard.owner === undefined ? 'No worker has it' : `On ${nameOf(shard.owner)}`}
            {shard.wanted !== undefined && `, on its way to ${nameOf(shard.wanted)}`}, state “{shard.state}”.
          </p>
          <dl class="detail">
            <Detail label="Session age" value={duration(figures?.sessionAgeMs)} />
            <Detail label="Sequence" value={shard.seq === undefined ? '–' : String(shard.seq)} />
            <Detail label="Epoch" value={String(shard.epoch)} />
            <Detail label="Resumes" value={count(figures?.resumes)} />
            <Detail label="Identifies" value={count(figures?.identifies)} />
            <Detail label="Reconnects" value={count(figures?.reconnects)} />
            <Detail label="Last close code" value={figures === undefined ? '–' : closeCode(figures.lastCloseCode)} />
            <Detail label="Guilds" value={count(shard.guildCount)} />
            <Detail label="Members" value={count(figures?.memberCount)} />
            <Detail label="Events" value={`${rate(shard.eventsPerSecond)}/s`} />
            <Detail label="Commands" value={`${rate(figures?.commandsPerSecond)}/s`} />
            <Detail label="Latency" value={milliseconds(shard.latencyMs)} />
            <Detail label="Buffered" value={count(shard.bufferedEvents)} />
            <Detail label="Last event" value={figures === undefined ? '–' : `${duration(figures.silentForMs)} ago`} />
          </dl>
          {mayAct && (
            <Acts
              targets={targets}
              onMigrate={(to) => onMigrate(shardId, to)}
              onRespawn={(fresh) => onRespawn(shardId, fresh)}
            />
          )}
          <ShardChart history={history} theme={theme} />
          <h3>Owners</h3>
          <ol class="happenings owners" tabIndex={0} aria-label={`Owners of shard ${shardId}`}>
            {(history?.happenings ?? []).toReversed().map((happening) => (
              <Happening key={`${happening.atMs} ${happening.kind}`} {...happening} shards={[shardId]} />
            ))}
            {history?.happenings.length === 0 && <li class="empty">Nothing in the last day.</li>}
          </ol>
        </>
      )}
    </aside>
  );
}

function Detail({ label, value }: { label: string; value: string }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Acts({
  targets,
  onMigrate,
  onRespawn,
}: {
  targets: readonly string[];
  onMigrate: (to: string) => void;
  onRespawn: (fresh: boolean) => void;
}) {
  const [chosen, setChosen] = useState('');
  const to = targets.includes(chosen) ? chosen : (targets[0] ?? '');
  return (
    <div class="acts">
      <label class="select">
        <span class="visually-hidden">Move to</span>
        <select value={to} disabled={targets.length === 0} onChange={(event) => setChosen(event.currentTarget.value)}>
          {targets.map((target) => (
            <option key={target} value={target}>
              {target}
            </option>
          ))}
          {targets.length === 0 && <option value="">no other worker</option>}
        </select>
      </label>
      <button type="button" class="button" disabled={to === ''} onClick={() => onMigrate(to)}>
        Move…
      </button>
      <button type="button" class="button" onClick={() => onRespawn(false)}>
        Respawn…
      </button>
    </div>
  );
}

function ShardChart({ history, theme }: { history: ShardHistory | undefined; theme: string }) {
  const points = history?.points ?? [];
  return (
    <LineChart
      title="Events a second, by the minute"
      times={points.map(({ atMs }) => atMs)}
      lines={[{ label: 'read', colour: '--chart-a', values: points.map(({ eventsPerSecond }) => eventsPerSecond) }]}
      format={rate}
      spanMs={Math.min(daySpanMs, Math.max(10 * 60_000, (points.at(-1)?.atMs ?? 0) - (points[0]?.atMs ?? 0)))}
      theme={theme}
      height={96}
    />
  );
}

/** What is kept of the shard, read now and then while it is shown. */
function useHistory(shardId: number): ShardHistory | undefined {
  const [known, setKnown] = useState<{ shardId: number; history: ShardHistory } | undefined>(undefined);
  useEffect(() => {
    let isCurrent = true;
    const read = (): void => {
      readShardHistory(shardId).then(
        (history) => isCurrent && setKnown({ shardId, history }),
        // The banner tells that there is no connection; what was read stays.
        () => undefined,
      );
    };
    read();
    const timer = setInterval(read, historyEveryMs);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [shardId]);
  return known?.shardId === shardId ? known.history : undefined;
}
