import { type CostInput, defaultCostInput, estimateCosts, figure } from './costs-model.ts';

/** Fleets of the table in `docs/costs.md`: small, middling, one of the largest; quiet and lively. */
const fleets = [16, 1000, 16_000].flatMap((shards) =>
  [3, 30].flatMap((eventsPerShard) =>
    [250, 1000].map((lingerMs): CostInput => ({ ...defaultCostInput, shards, eventsPerShard, lingerMs })),
  ),
);

const columns = ['Fargate', 'SQS events', 'Lambda events', 'DynamoDB coordination', 'DynamoDB directory'] as const;

/** The table as Markdown, a row for each fleet, in dollars a month. */
export function renderCostTable(): string {
  const head = ['shards', 'events/s each', 'linger', 'SQS requests an event', ...columns, 'everything'];
  const rows = fleets.map((input) => {
    const { lines, requestsPerEvent, dollars } = estimateCosts(input);
    const parts = columns.map((column) => lines.find(({ what }) => what === column)?.dollars ?? 0);
    return [
      input.shards.toLocaleString('en-US'),
      String(input.eventsPerShard),
      `${input.lingerMs} ms`,
      figure(requestsPerEvent),
      ...[...parts, dollars].map(figure),
    ];
  });
  return [head, head.map(() => '---:'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
