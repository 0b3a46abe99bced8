import { useEffect, useMemo, useState } from 'preact/hooks';
import type { FleetPoint, LivePoint } from '../../shared/stats/fleet-view.ts';
import { readSeries } from './fleet-client.ts';
import { milliseconds, rate } from './formats.ts';
import { LineChart } from './line-chart.tsx';

const minuteMs = 60_000;
const spans = { '10 min': 10 * minuteMs, '24 h': 24 * 60 * minuteMs } as const;
type Span = keyof typeof spans;

/** Event rate and latency: the last minutes as they come, or the last day by the minute. */
export function Charts({
  points,
  latestAtMs,
  theme,
}: {
  points: readonly LivePoint[];
  latestAtMs: number;
  theme: string;
}) {
  const [span, setSpan] = useState<Span>('10 min');
  const [day, setDay] = useState<readonly FleetPoint[]>([]);
  const isDay = span === '24 h';

  useEffect(() => {
    if (!isDay) return undefined;
    let isCurrent = true;
    const read = (): void => {
      readSeries(Date.now() - spans['24 h']).then(
        (series) => isCurrent && setDay(series),
        // The banner tells that there is no connection; what was read stays.
        () => undefined,
      );
    };
    read();
    const timer = setInterval(read, minuteMs);
    return () => {
      isCurrent = false;
      clearInterval(timer);
    };
  }, [isDay]);

  // The list grows in place, so its last entry tells whether there is news.
  const lines = useMemo(() => (isDay ? linesOfDay(day) : linesOfMinutes(points)), [isDay, day, latestAtMs]);
  return (
    <section class="panel charts" aria-labelledby="charts-title">
      <header class="panel-head">
        <h2 id="charts-title">Traffic</h2>
        <span class="grow" />
        <div class="switch" role="group" aria-label="Time shown">
          {(Object.keys(spans) as Span[]).map((each) => (
            <button key={each} type="button" aria-pressed={span === each} onClick={() => setSpan(each)}>
              {each}
            </button>
          ))}
        </div>
      </header>
      <LineChart title="Events a second" {...lines.rate} format={rate} spanMs={spans[span]} theme={theme} />
      <LineChart title="Latency" {...lines.latency} format={milliseconds} spanMs={spans[span]} theme={theme} />
    </section>
  );
}

function linesOfMinutes(points: readonly LivePoint[]) {
  const times = points.map(({ atMs }) => atMs);
  const knowsDelivery = points.some(({ deliveryP50Ms }) => deliveryP50Ms !== undefined);
  const knowsEmission = points.some(({ emittedPerSecond }) => emittedPerSecond !== undefined);
  return {
    rate: {
      times,
      lines: [
        ...(knowsEmission
          ? [
              {
                label: 'sent',
                colour: '--chart-b',
                dashed: true,
                values: points.map(({ emittedPerSecond }) => emittedPerSecond ?? null),
              },
            ]
          : []),
        {
          label: knowsEmission ? 'handled' : 'read',
          colour: '--chart-a',
          values: points.map(({ eventsPerSecond }) => eventsPerSecond),
        },
      ],
    },
    latency: {
      times,
      lines: knowsDelivery
        ? [
            {
              label: 'to handler p50',
              colour: '--chart-a',
              values: points.map(({ deliveryP50Ms }) => deliveryP50Ms ?? null),
            },
            { label: 'p99', colour: '--chart-c', values: points.map(({ deliveryP99Ms }) => deliveryP99Ms ?? null) },
            { label: 'gateway', colour: '--chart-b', dashed: true, values: points.map(({ latencyMs }) => latencyMs) },
          ]
        : [
            { label: 'gateway median', colour: '--chart-a', values: points.map(({ latencyMs }) => latencyMs) },
            { label: 'slowest', colour: '--chart-c', values: points.map(({ latencyMaxMs }) => latencyMaxMs) },
          ],
    },
  };
}

function linesOfDay(points: readonly FleetPoint[]) {
  const times = points.map(({ atMs }) => atMs);
  return {
    rate: {
      times,
      lines: [{ label: 'read', colour: '--chart-a', values: points.map(({ eventsPerSecond }) => eventsPerSecond) }],
    },
    latency: {
      times,
      lines: [
        { label: 'gateway median', colour: '--chart-a', values: points.map(({ latencyMs }) => latencyMs) },
        { label: 'slowest', colour: '--chart-c', values: points.map(({ latencyMaxMs }) => latencyMaxMs) },
        { label: 'flush', colour: '--chart-b', dashed: true, values: points.map(({ flushMs }) => flushMs) },
      ],
    },
  };
}
