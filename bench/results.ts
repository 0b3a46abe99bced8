import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../shared/clock.ts';
import type { LatencyBenchResult } from './latency-bench.ts';

const file = join(import.meta.dirname, 'results.md');

const head = `# Measured

\`npm run bench -- latency --save\` adds a line. Compare lines of one machine only.

| date | machine | Node | compression | shards | events/s | events per CPU second | CPU of a core | RSS | latency p50 / p99 |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`;

/** Adds a line to bench/results.md. */
export function saveResult(result: LatencyBenchResult): void {
  if (!existsSync(file)) appendFileSync(file, head);
  const date = new Date(systemClock.wallClockMs()).toISOString().slice(0, 10);
  const cells = [
    date,
    result.cpu,
    result.node,
    result.compress,
    result.shards,
    result.eventsPerSecond,
    result.eventsPerCpuSecond,
    `${result.cpuPercent} %`,
    `${result.rssMb} MB`,
    `${result.latencyMs.p50} / ${result.latencyMs.p99} ms`,
  ];
  appendFileSync(file, `| ${cells.join(' | ')} |\n`);
}
