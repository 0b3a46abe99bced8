import { useEffect, useRef, useState } from 'preact/hooks';
import { type TailedEvent, tailEvents } from './fleet-client.ts';
import { clockTime, count } from './formats.ts';

const mostShown = 200;
const redrawEveryMs = 500;

/** Dispatches as the shards read them, by type and guild; without their content. */
export function LiveTail({ onSelect }: { onSelect: (shardId: number) => void }) {
  const [types, setTypes] = useState('');
  const [guilds, setGuilds] = useState('');
  const [running, setRunning] = useState<{ types: string; guilds: string } | undefined>(undefined);
  const [shown, setShown] = useState<{ events: readonly TailedEvent[]; skipped: number }>({ events: [], skipped: 0 });
  const [failure, setFailure] = useState<string | undefined>(undefined);
  const gathered = useRef<{ events: TailedEvent[]; skipped: number }>({ events: [], skipped: 0 });

  useEffect(() => {
    if (running === undefined) return undefined;
    gathered.current = { events: [], skipped: 0 };
    setFailure(undefined);
    const stop = tailEvents(
      running,
      ({ events, skipped }) => {
        const { current } = gathered;
        gathered.current = {
          // Workers send in batches of their own.
          events: [...events, ...current.events]
            .sort((one, other) => other.atMs - one.atMs || other.seq - one.seq)
            .slice(0, mostShown),
          skipped: current.skipped + skipped,
        };
      },
      (message) => {
        setFailure(message);
        setRunning(undefined);
      },
    );
    const timer = setInterval(() => setShown(gathered.current), redrawEveryMs);
    return () => {
      stop();
      clearInterval(timer);
    };
  }, [running]);

  const filter = {
    types: listOf(types)
      .map((type) => type.toUpperCase())
      .join(),
    guilds: listOf(guilds).join(),
  };
  const isAsIs = running !== undefined && running.types === filter.types && running.guilds === filter.guilds;
  return (
    <section class="panel tail" aria-labelledby="tail-title">
      <header class="panel-head">
        <h2 id="tail-title">Live tail</h2>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            setRunning(isAsIs ? undefined : filter);
          }}
        >
          <input
            class="search"
            placeholder="Types, such as MESSAGE_CREATE"
            aria-label="Dispatch types to show, separated by commas"
            value={types}
            onInput={(event) => setTypes(event.currentTarget.value)}
          />
          <input
            class="search"
            placeholder="Guild ids"
            aria-label="Guild ids to show, separated by commas"
            inputMode="numeric"
            value={guilds}
            onInput={(event) => setGuilds(event.currentTarget.value)}
          />
          <button type="submit" class="button" aria-pressed={isAsIs}>
            {isAsIs ? 'Stop' : running === undefined ? 'Start' : 'Apply'}
          </button>
        </form>
        <span class="grow" />
        <span class="note">{shown.skipped > 0 && `${count(shown.skipped)} more left out, to keep to the rate`}</span>
      </header>
      {failure !== undefined && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      <div class="tail-rows" tabIndex={0} role="region" aria-labelledby="tail-title">
        <table>
          <thead>
            <tr>
              <th>Time</th>
              <th>Shard</th>
              <th>Type</th>
              <th>Guild</th>
              <th class="is-number">Seq</th>
              <th class="is-number">Bytes</th>
            </tr>
          </thead>
          <tbody>
            {shown.events.map((event) => (
              <tr key={`${event.shard} ${event.seq}`}>
                <td>{clockTime(event.atMs)}</td>
                <td>
                  <button type="button" class="link" onClick={() => onSelect(event.shard)}>
                    {event.shard}
                  </button>
                </td>
                <td>{event.type}</td>
                <td>{event.guildId ?? '–'}</td>
                <td class="is-number">{event.seq}</td>
                <td class="is-number">{count(event.bytes)}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {shown.events.length === 0 && (
          <p class="empty">
            {running === undefined ? 'Start it to see what Discord sends right now.' : 'Waiting for events …'}
          </p>
        )}
      </div>
    </section>
  );
}

function listOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((part) => part !== '');
}
