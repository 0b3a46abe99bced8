import { useEffect, useRef, useState } from 'preact/hooks';
import { act, type ActionError, type FleetAction } from './fleet-client.ts';
import { shardList } from './formats.ts';
import { reasonWords } from './reason-words.ts';

/** What a dry run of rebalancing tells. */
interface RebalancePlan {
  readonly kind: string;
  readonly moves?: readonly {
    readonly shard: string;
    readonly from: string;
    readonly to: string;
    readonly reason: string;
  }[];
  readonly skipped?: readonly { readonly worker: string; readonly reason: string; readonly why: string }[];
  readonly held?: string;
}

type Stage =
  | { readonly kind: 'asking' }
  | { readonly kind: 'running'; readonly lines: readonly string[] }
  | { readonly kind: 'done'; readonly summary: string; readonly lines: readonly string[] }
  | { readonly kind: 'failed'; readonly error: ActionError; readonly lines: readonly string[] };

/** Asks before an action, shows how far it has come, and what became of it. */
export function ActionDialog({ action, onClose }: { action: FleetAction; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [stage, setStage] = useState<Stage>({ kind: 'asking' });
  const [fresh, setFresh] = useState(false);
  const plan = usePlan(action);
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  // The button that was pressed is gone by now, and focus with it.
  useEffect(() => {
    if (stage.kind !== 'asking') title.current?.focus();
  }, [stage.kind]);

  const run = (): void => {
    const lines: string[] = [];
    const chosen = action.kind === 'respawn' ? { ...action, fresh } : action;
    setStage({ kind: 'running', lines });
    void act(chosen, (line) => {
      if ('progress' in line) {
        lines.push(line.progress);
        setStage({ kind: 'running', lines: [...lines] });
      } else if ('done' in line) setStage({ kind: 'done', summary: line.summary, lines });
      else setStage({ kind: 'failed', error: line.error, lines });
    });
  };
  const hasMoves = plan?.kind === 'plan' && (plan.plan.moves?.length ?? 0) > 0;
  const mayRun = stage.kind === 'asking' && (action.kind !== 'rebalance' || hasMoves);
  const isOver =
    stage.kind === 'done' ||
    stage.kind === 'failed' ||
    (action.kind === 'rebalance' && plan !== undefined && !hasMoves);
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title" ref={title} tabIndex={-1}>
        {titleOf(action)}
      </h2>
      {stage.kind === 'asking' && (
        <>
          <p>{meaningOf(action)}</p>
          {action.kind === 'respawn' && (
            <label class="check">
              <input type="checkbox" checked={fresh} onChange={(event) => setFresh(event.currentTarget.checked)} />
              Give the session up and start a new one: costs an IDENTIFY, and what was missed meanwhile
            </label>
          )}
          {action.kind === 'rebalance' && <Plan plan={plan} />}
        </>
      )}
      {stage.kind !== 'asking' && (
        <ol class="progress" aria-live="polite">
          {stage.lines.map((line, index) => (
            <li key={index}>{line}</li>
          ))}
          {stage.kind === 'running' && <li class="busy">working …</li>}
          {stage.kind === 'done' && <li class="done">{stage.summary}</li>}
        </ol>
      )}
      {stage.kind === 'failed' && (
        <p class="failure" role="alert">
          <code>{stage.error.code}</code> {stage.error.message}
        </p>
      )}
      <footer>
        {mayRun && (
          <button type="button" class="button primary" onClick={run}>
            {verbOf(action)}
          </button>
        )}
        <button
          type="button"
          class="button"
          // Otherwise the first button has it, and a second Enter would carry out what the first one opened.
          autoFocus
          onClick={() => dialog.current?.close()}
        >
          {isOver ? 'Close' : stage.kind === 'running' ? 'Hide' : 'Cancel'}
        </button>
      </footer>
    </dialog>
  );
}

type KnownPlan =
  | { readonly kind: 'plan'; readonly plan: RebalancePlan; readonly summary: string }
  | { readonly kind: 'failed'; readonly error: ActionError };

/** The dry run comes first: what would be moved is shown before anything is. */
function usePlan(action: FleetAction): KnownPlan | undefined {
  const [plan, setPlan] = useState<KnownPlan | undefined>(undefined);
  useEffect(() => {
    if (action.kind !== 'rebalance') return;
    void act({ kind: 'rebalance', dryRun: true }, (line) => {
      if ('done' in line) setPlan({ kind: 'plan', plan: line.done as RebalancePlan, summary: line.summary });
      else if ('error' in line) setPlan({ kind: 'failed', error: line.error });
    });
  }, [action]);
  return plan;
}

function Plan({ plan }: { plan: KnownPlan | undefined }) {
  if (plan === undefined) return <p class="busy">Looking at the fleet for some heartbeats, then planning …</p>;
  if (plan.kind === 'failed') {
    return (
      <p class="failure" role="alert">
        <code>{plan.error.code}</code> {plan.error.message}
      </p>
    );
  }
  const { moves = [], skipped = [], held } = plan.plan;
  return (
    <div class="plan">
      <p>
        <b>{plan.summary}.</b> {held !== undefined && `Held back: ${reasonWords(held)}.`}
      </p>
      {moves.length > 0 && (
        <table>
          <thead>
            <tr>
              <th>Shard</th>
              <th>From</th>
              <th>To</th>
              <th>Why</th>
            </tr>
          </thead>
          <tbody>
            {moves.map((move) => (
              <tr key={move.shard}>
                <td>{move.shard.split('.')[1]}</td>
                <td>{move.from}</td>
                <td>{move.to}</td>
                <td>{reasonWords(move.reason)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {skipped.map(({ worker, reason, why }) => (
        <p key={`${worker} ${reason}`} class="note">
          {worker}: {reasonWords(reason)}, but {reasonWords(why)}
        </p>
      ))}
    </div>
  );
}

function titleOf(action: FleetAction): string {
  switch (action.kind) {
    case 'migrate':
      return `Move shard ${shardList([action.shard])} to ${action.to}?`;
    case 'drain':
      return `Drain ${action.worker}?`;
    case 'respawn':
      return `Respawn shard ${action.shard}?`;
    case 'rebalance':
      return 'Rebalance the fleet?';
  }
}

function meaningOf(action: FleetAction): string {
  switch (action.kind) {
    case 'migrate':
      return 'The target opens a connection, the owner lets go, the session is resumed there. Nothing is lost and no IDENTIFY is spent.';
    case 'drain':
      return 'It hands every shard over to the other workers, then ends. What runs it may start it again.';
    case 'respawn':
      return 'The connection is closed so that the session lives, and resumed.';
    case 'rebalance':
      return 'The fewest moves that help, as planned by a dry run:';
  }
}

function verbOf(action: FleetAction): string {
  switch (action.kind) {
    case 'migrate':
      return 'Move it';
    case 'drain':
      return 'Drain it';
    case 'respawn':
      return 'Respawn it';
    case 'rebalance':
      return 'Carry it out';
  }
}
