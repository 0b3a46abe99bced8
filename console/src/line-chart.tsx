import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { useEffect, useRef } from 'preact/hooks';

export interface ChartLine {
  readonly label: string;
  /** Name of the custom property with its colour. */
  readonly colour: string;
  readonly values: readonly (number | null)[];
  readonly dashed?: boolean;
}

export interface LineChartProps {
  readonly title: string;
  /** Unix milliseconds. */
  readonly times: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly format: (value: number) => string;
  /** What the axis spans, even where there are no figures yet. */
  readonly spanMs: number;
  readonly theme: string;
  readonly height?: number;
}

/** As wide as the longest of them; digits of the font are about 6.2 pixels wide. */
function widthOfLabels(_: uPlot, labels: readonly string[] | null): number {
  const longest = Math.max(0, ...(labels ?? []).map((label) => label.length));
  return Math.max(46, Math.ceil(longest * 6.2) + 10);
}

/** A chart over time, with its lines named and their latest values beside their names. */
export function LineChart({ title, times, lines, format, spanMs, theme, height = 132 }: LineChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  const names = lines.map(({ label }) => label).join();

  useEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string): string => style.getPropertyValue(name).trim();
    const axis = {
      stroke: colour('--muted'),
      font: '11px system-ui, sans-serif',
      grid: { stroke: colour('--line'), width: 1 },
      ticks: { show: false },
    };
    const plot = new uPlot(
      {
        width: element.clientWidth || 300,
        height,
        padding: [8, 14, 0, 0],
        legend: { show: false },
        cursor: { points: { size: 5 }, y: false, drag: { x: false, y: false } },
        scales: { x: { time: true }, y: { range: (_, __, highest) => [0, Math.max(1, highest * 1.1)] } },
        axes: [
          { ...axis, size: 24, gap: 7, space: 60, values: '{HH}:{mm}' },
          { ...axis, size: widthOfLabels, gap: 4, space: 32, values: (_, splits) => splits.map(format) },
        ],
        series: [
          {},
          ...lines.map((line) => ({
            label: line.label,
            stroke: colour(line.colour),
            width: 1.5,
            points: { show: false },
            ...(line.dashed && { dash: [4, 3] }),
          })),
        ],
      },
      [[], ...lines.map(() => [])],
      element,
    );
    chart.current = plot;
    const observer = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.destroy();
      chart.current = undefined;
    };
    // The lines' names stand for them: their values are set below.
    // oxlint-disable-next-line
  }, [names, theme, height]);

  useEffect(() => {
    const plot = chart.current;
    if (plot === undefined) return;
    const until = (times.at(-1) ?? Date.now()) / 1000;
    plot.setData(
      [times.map((time) => time / 1000), ...lines.map(({ values }) => [...values])] as uPlot.AlignedData,
      false,
    );
    plot.batch(() => {
      plot.setScale('x', { min: until - spanMs / 1000, max: until });
    });
  }, [times, lines, spanMs, theme, names]);

  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{title}</span>
        {lines.map((line) => {
          const latest = line.values.at(-1);
          return (
            <span key={line.label} class="chart-key">
              <i class={line.dashed ? 'is-dashed' : ''} style={{ borderColor: `var(${line.colour})` }} />
              {line.label} <b>{latest === null || latest === undefined ? '–' : format(latest)}</b>
            </span>
          );
        })}
      </figcaption>
      <div ref={host} class="plot" style={{ height: `${height}px` }} aria-hidden="true" />
    </figure>
  );
}
