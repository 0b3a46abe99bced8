import type {
  FleetPoint,
  FleetView,
  HappeningView,
  LivePoint,
  LiveUpdate,
  ShardHistory,
} from '../../shared/stats/fleet-view.ts';

/** How this page gets its figures, and what it may do. */
export interface ConsoleAbilities {
  readonly updates: 'events' | 'polling';
  readonly mayAct: boolean;
  readonly hasTail: boolean;
}

export type FleetAction =
  | { readonly kind: 'migrate'; readonly shard: number; readonly to: string }
  | { readonly kind: 'drain'; readonly worker: string }
  | { readonly kind: 'respawn'; readonly shard: number; readonly fresh: boolean }
  | { readonly kind: 'rebalance'; readonly dryRun: boolean };

export type ActionLine =
  | { readonly progress: string }
  | { readonly done: unknown; readonly summary: string }
  | { readonly error: ActionError };

export interface ActionError {
  readonly code: string;
  readonly message: string;
}

export interface TailedEvent {
  readonly shard: number;
  readonly seq: number;
  readonly type: string;
  readonly guildId?: string;
  readonly bytes: number;
  readonly atMs: number;
}

export interface TailBatch {
  readonly workerId: string;
  readonly events: readonly TailedEvent[];
  readonly skipped: number;
}

export interface FleetListener {
  onAbilities(abilities: ConsoleAbilities): void;
  onUpdate(update: LiveUpdate): void;
  onPoints(points: readonly LivePoint[]): void;
  onHappenings(happenings: readonly HappeningView[]): void;
  /** Nothing new for now, and why. */
  onTrouble(reason: string): void;
}

const pollEveryMs = 5000;
const timelineEveryPolls = 3;
const retryEveryMs = 1000;

const token = findToken();

/** In the page itself, or behind `#` of its address; from there it goes into this tab's memory, out of sight. */
function findToken(): string {
  const settings = JSON.parse(document.getElementById('settings')?.textContent ?? '{}') as { token?: string };
  const key = /^#key=([\w-]+)$/.exec(location.hash)?.[1];
  if (key !== undefined) {
    sessionStorage.setItem('key', key);
    history.replaceState(null, '', location.pathname);
  }
  return settings.token ?? key ?? sessionStorage.getItem('key') ?? '';
}

async function getJson<T>(path: string): Promise<T> {
  const response = await fetch(path, { headers: { 'x-baton-token': token } });
  if (response.ok) return (await response.json()) as T;
  const body = (await response.json().catch(() => ({}))) as { error?: ActionError };
  throw new Error(body.error?.message ?? `the console's server answered with ${response.status}`);
}

/** Follows the fleet until the page is closed: over server-sent events, or by asking again and again. */
export async function followFleet(listener: FleetListener): Promise<never> {
  for (;;) {
    try {
      const abilities = await getJson<ConsoleAbilities>('/api/console');
      listener.onAbilities(abilities);
      if (abilities.updates === 'events') await followEvents(listener);
      else await poll(listener);
    } catch (error) {
      listener.onTrouble(error instanceof TypeError ? 'the console has no connection' : (error as Error).message);
    }
    await pause(retryEveryMs);
  }
}

/** Resolves when the connection is lost. */
function followEvents(listener: FleetListener): Promise<void> {
  return new Promise((resolve) => {
    const source = new EventSource('/api/events');
    source.addEventListener('fleet', ({ data }) => listener.onUpdate(JSON.parse(data as string) as LiveUpdate));
    source.addEventListener('points', ({ data }) => listener.onPoints(JSON.parse(data as string) as LivePoint[]));
    source.addEventListener('happenings', ({ data }) =>
      listener.onHappenings(JSON.parse(data as string) as HappeningView[]),
    );
    source.addEventListener('trouble', ({ data }) => listener.onTrouble(JSON.parse(data as string) as string));
    source.addEventListener('error', () => {
      source.close();
      listener.onTrouble('the console has no connection');
      resolve();
    });
  });
}

/** Rejects when the server does not answer. */
async function poll(listener: FleetListener): Promise<void> {
  for (let round = 0; ; round += 1) {
    const since = Date.now() - 24 * 60 * 60 * 1000;
    if (round % timelineEveryPolls === 0) {
      listener.onHappenings(await getJson<HappeningView[]>(`/api/timeline?since=${since}`));
    }
    const view = await getJson<FleetView>('/api/fleet');
    const ready = view.shards.filter((shard) => shard.ready);
    const latencies = ready.map((shard) => shard.latencyMs ?? 0).sort((one, other) => one - other);
    listener.onUpdate({
      ...view,
      point: {
        atMs: view.atMs,
        eventsPerSecond: ready.reduce((sum, shard) => sum + (shard.eventsPerSecond ?? 0), 0),
        latencyMs: latencies[Math.floor(latencies.length / 2)] ?? 0,
        latencyMaxMs: latencies.at(-1) ?? 0,
      },
    });
    await pause(pollEveryMs);
  }
}

export function readSeries(sinceMs: number): Promise<FleetPoint[]> {
  return getJson(`/api/series?since=${Math.floor(sinceMs)}`);
}

export function readShardHistory(shardId: number): Promise<ShardHistory> {
  return getJson(`/api/shards/${shardId}`);
}

/** Has an action carried out; `tell` gets every line, the last one `done` or `error`. Never rejects. */
export async function act(action: FleetAction, tell: (line: ActionLine) => void): Promise<void> {
  let ended = false;
  const take = (line: ActionLine): void => {
    ended ||= 'done' in line || 'error' in line;
    tell(line);
  };
  try {
    const response = await fetch('/api/actions', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-baton-token': token },
      body: JSON.stringify(action),
    });
    if (!response.ok || response.body === null) {
      const { error } = (await response.json()) as { error: ActionError };
      take({ error });
      return;
    }
    let rest = '';
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      const lines = `${rest}${value ?? ''}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (line !== '') take(JSON.parse(line) as ActionLine);
      if (done) break;
    }
    if (!ended)
      take({
        error: { code: 'CONNECTION_LOST', message: 'the answer broke off: look at the timeline for what became of it' },
      });
  } catch {
    take({
      error: {
        code: 'CONNECTION_LOST',
        message: 'the console has no connection: look at the timeline for what became of it',
      },
    });
  }
}

/** Live dispatches until the returned function is called. */
export function tailEvents(
  filter: { types: string; guilds: string },
  take: (batch: TailBatch) => void,
  onFailure: (message: string) => void,
): () => void {
  const source = new EventSource(`/api/tail?${new URLSearchParams(filter)}`);
  source.addEventListener('batch', ({ data }) => take(JSON.parse(data as string) as TailBatch));
  source.addEventListener('failed', ({ data }) => {
    source.close();
    onFailure((JSON.parse(data as string) as ActionError).message);
  });
  // The browser dials a connection that broke again by itself, but not one that was refused.
  source.addEventListener('error', () => {
    if (source.readyState === EventSource.CLOSED) onFailure('the live tail was refused: start it again');
  });
  return () => source.close();
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
