import type { ComponentChildren } from 'preact';
import { count, duration, milliseconds, plural, rate, roughDuration, shortClockTime, unknown } from './formats.ts';
import type { FleetPicture } from './fleet-model.ts';

/** The fleet in eight figures. */
export function KeyFigures({ picture }: { picture: FleetPicture }) {
  const { view, counts, groups } = picture;
  const { queues, budget, point, shardCount = 0 } = view;
  const live = groups.filter(({ worker, status }) => worker !== undefined && status !== 'dead').length;
  const dead = groups.filter(({ worker, status }) => worker !== undefined && status === 'dead').length;
  const up = counts.ready + counts.moving;
  const dlq = queues === undefined ? undefined : queues.events.deadLetters + queues.interactions.deadLetters;
  const waiting = queues === undefined ? undefined : queues.events.waiting + queues.interactions.waiting;
  const ages = [queues?.events.oldestSeconds, queues?.interactions.oldestSeconds].filter((age) => age !== undefined);
  const oldest = ages.length === 0 ? undefined : Math.max(...ages);
  return (
    <section class="figures" aria-label="Key figures">
      <Figure label="Shards ready" value={count(up)} of={count(shardCount)} tone={up === shardCount ? 'good' : 'bad'}>
        {up === shardCount ? 'all of them' : plural(shardCount - up, 'shard is away', 'shards are away')}
      </Figure>
      <Figure label="Workers" value={count(live)} tone={dead > 0 ? 'bad' : undefined}>
        {dead > 0 ? `${dead} dead` : 'all with a heartbeat'}
      </Figure>
      <Figure label="Guilds" value={count(picture.guildCount)}>
        {plural(picture.memberCount, 'member')}
      </Figure>
      <Figure label="Events" value={rate(point?.eventsPerSecond)} unit="/s">
        {rate(groups.reduce((sum, { worker }) => sum + (worker?.figures?.commandsPerSecond ?? 0), 0))} commands/s
      </Figure>
      <Figure label="Gateway latency" value={milliseconds(point?.latencyMs)}>
        slowest {milliseconds(point?.latencyMaxMs)}
      </Figure>
      <Figure label="Queue" value={count(waiting)} unit=" waiting" tone={(oldest ?? 0) >= 60 ? 'bad' : undefined}>
        {queues === undefined && 'no answer of SQS'}
        {queues !== undefined && (oldest === undefined ? 'age not known' : `oldest ${duration(oldest * 1000)}`)}
      </Figure>
      <Figure label="Dead letters" value={count(dlq)} tone={(dlq ?? 0) > 0 ? 'bad' : undefined}>
        {dlq === undefined ? 'no answer of SQS' : dlq === 0 ? 'none' : 'to be looked at'}
      </Figure>
      <BudgetGauge budget={budget} />
    </section>
  );
}

function Figure({
  label,
  value,
  of,
  unit,
  tone,
  children,
}: {
  label: string;
  value: string;
  of?: string;
  unit?: string;
  tone?: 'good' | 'bad' | undefined;
  children: ComponentChildren;
}) {
  return (
    <div class={`figure ${tone === undefined ? '' : `is-${tone}`}`}>
      <h2>{label}</h2>
      <p class="value">
        {value}
        {of !== undefined && <small> of {of}</small>}
        {unit !== undefined && <small>{unit}</small>}
      </p>
      <p class="note">{children}</p>
    </div>
  );
}

/** How much of the day's IDENTIFYs is left: overrunning it resets the bot's token. */
function BudgetGauge({ budget }: { budget: FleetPicture['view']['budget'] }) {
  const share = budget === undefined || budget.total === 0 ? 0 : budget.remaining / budget.total;
  const tone = budget === undefined ? undefined : share < 0.1 ? 'bad' : undefined;
  const resetsInMs = budget?.resetsAtMs === undefined ? undefined : budget.resetsAtMs - Date.now();
  return (
    <div class={`figure ${tone === undefined ? '' : `is-${tone}`}`}>
      <h2 id="budget-label">Identify budget</h2>
      <p class="value">
        {budget === undefined ? unknown : count(budget.remaining)}
        {budget !== undefined && <small> of {count(budget.total)}</small>}
      </p>
      <div
        class="gauge"
        role="meter"
        aria-labelledby="budget-label"
        aria-valuemin={0}
        aria-valuemax={budget?.total ?? 0}
        aria-valuenow={budget?.remaining ?? 0}
      >
        <span style={{ transform: `scaleX(${share})` }} />
      </div>
      <p class="note">
        {resetsInMs === undefined || resetsInMs <= 0
          ? 'reset time not known'
          : `resets ${shortClockTime(budget?.resetsAtMs ?? 0)}, in ${roughDuration(resetsInMs)}`}
      </p>
    </div>
  );
}
