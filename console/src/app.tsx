import { useEffect, useMemo, useState } from 'preact/hooks';
import { ActionDialog } from './action-dialog.tsx';
import { Charts } from './charts.tsx';
import type { FleetAction } from './fleet-client.ts';
import { type FleetModel, type FleetPicture, isTableStill, staleAfterMs, useModel } from './fleet-model.ts';
import { clockTime, count, duration } from './formats.ts';
import { KeyFigures } from './key-figures.tsx';
import { LiveTail } from './live-tail.tsx';
import { ShardMap } from './shard-map.tsx';
import { ShardPanel } from './shard-panel.tsx';
import { useTheme } from './theme.ts';
import { Timeline } from './timeline.tsx';

/** The whole page. */
export function App({ model }: { model: FleetModel }) {
  useModel(model);
  const [theme, toggleTheme] = useTheme();
  const [selected, setSelected] = useState<number | undefined>(undefined);
  const [action, setAction] = useState<FleetAction | undefined>(undefined);
  const staleForMs = useStaleness(model);
  const { picture, abilities, happenings, points } = model;
  const mayAct = abilities?.mayAct ?? false;
  const close = (): void => {
    const cell = selected === undefined ? null : document.getElementById(`shard-${selected}`);
    setSelected(undefined);
    cell?.closest<HTMLElement>('[role=listbox]')?.focus({ preventScroll: true });
  };
  // Made anew only with news of their own: the page is drawn every second, and they are long.
  const latestAtMs = points.at(-1)?.atMs ?? 0;
  const tail = useMemo(() => <LiveTail onSelect={setSelected} />, []);
  const charts = useMemo(
    () => <Charts points={points} latestAtMs={latestAtMs} theme={theme} />,
    [points, latestAtMs, theme],
  );
  const timeline = useMemo(() => <Timeline happenings={happenings} />, [happenings]);
  return (
    <div class={`page ${staleForMs === undefined ? '' : 'is-stale'}`}>
      <a class="skip" href="#map-title">
        Skip to the shards
      </a>
      <Head
        picture={picture}
        mayAct={mayAct}
        theme={theme}
        onToggleTheme={toggleTheme}
        isLive={staleForMs === undefined}
      />
      {picture === undefined ? (
        <main class="starting">
          <p role="status">{model.trouble ?? 'Asking the fleet …'}</p>
        </main>
      ) : (
        <main class="board">
          <KeyFigures picture={picture} />
          <div class="main-column">
            <ShardMap
              picture={picture}
              selected={selected}
              mayAct={mayAct}
              onSelect={setSelected}
              onMigrate={(shard, to) => setAction({ kind: 'migrate', shard, to })}
              onDrain={(worker) => setAction({ kind: 'drain', worker })}
              onRebalance={() => setAction({ kind: 'rebalance', dryRun: false })}
            />
            {abilities?.hasTail && tail}
          </div>
          <div class="side-column">
            {charts}
            {timeline}
          </div>
        </main>
      )}
      {picture && selected !== undefined && (
        <ShardPanel
          picture={picture}
          shardId={selected}
          mayAct={mayAct}
          theme={theme}
          onClose={close}
          onMigrate={(shard, to) => setAction({ kind: 'migrate', shard, to })}
          onRespawn={(shard, fresh) => setAction({ kind: 'respawn', shard, fresh })}
        />
      )}
      {action && <ActionDialog key={JSON.stringify(action)} action={action} onClose={() => setAction(undefined)} />}
      {picture && staleForMs !== undefined && (
        <p class="banner" role="alert">
          <b>Connection lost.</b> {model.trouble ?? 'The fleet gives no answer'}. What you see is {duration(staleForMs)}{' '}
          old, from {clockTime(picture.view.atMs)}.
        </p>
      )}
      {picture && staleForMs === undefined && isTableStill(picture.view) && (
        <p class="banner" role="alert">
          <b>No worker's heartbeat is written.</b> The coordination table takes none, or the whole fleet has stopped.
          Workers that only miss the table go on.
        </p>
      )}
    </div>
  );
}

function Head({
  picture,
  mayAct,
  theme,
  onToggleTheme,
  isLive,
}: {
  picture: FleetPicture | undefined;
  mayAct: boolean;
  theme: string;
  onToggleTheme: () => void;
  isLive: boolean;
}) {
  const run = picture?.view.run;
  return (
    <header class="head">
      <h1>
        <img src="/icon.svg" alt="" width="22" height="22" /> Baton
        {picture && <span class="fleet-name">{picture.view.fleet}</span>}
      </h1>
      {run && <RunLine run={run} />}
      <span class="grow" />
      <span class={`live ${isLive && picture ? 'is-live' : ''}`}>
        {isLive && picture ? clockTime(picture.view.atMs) : 'no connection'}
      </span>
      <span class="role">{mayAct ? 'Operator' : 'Read only'}</span>
      <button type="button" class="button small" onClick={onToggleTheme}>
        {theme === 'dark' ? 'Light' : 'Dark'}
      </button>
    </header>
  );
}

/** With the simulated Discord every event is counted on both ends. */
function RunLine({ run: { phase, discord, elapsedMs, totals } }: { run: NonNullable<FleetPicture['view']['run']> }) {
  const faults = totals === undefined ? 0 : totals.lost + totals.duplicated + totals.reordered;
  return (
    <p class="run">
      <span>
        {discord === 'simulator' ? 'Simulated Discord' : 'Discord'}, {phase} {duration(elapsedMs)}
      </span>
      {totals && (
        <>
          <span>
            <b>{count(totals.delivered)}</b> of {count(totals.emitted)} events handled
          </span>
          <span class={faults > 0 ? 'is-bad' : 'is-good'}>
            <b>{count(totals.lost)}</b> lost, <b>{count(totals.duplicated)}</b> doubled,{' '}
            <b>{count(totals.reordered)}</b> out of order
          </span>
        </>
      )}
    </p>
  );
}

/** How old what is shown has become; `undefined` while it is fresh. */
function useStaleness(model: FleetModel): number | undefined {
  const [staleForMs, setStaleForMs] = useState<number | undefined>(undefined);
  useEffect(() => {
    const timer = setInterval(() => {
      const patienceMs = model.abilities?.updates === 'polling' ? staleAfterMs * 4 : staleAfterMs;
      const ageMs = model.heardAtMs === undefined ? 0 : performance.now() - model.heardAtMs;
      setStaleForMs(ageMs > patienceMs ? ageMs : undefined);
    }, 500);
    return () => clearInterval(timer);
  }, [model]);
  return staleForMs;
}
