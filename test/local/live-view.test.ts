import { describe, expect, test } from 'vitest';
import type { FleetSnapshot } from '../../local/fleet-snapshot.ts';
import { LiveView, renderPlainLine, renderView } from '../../local/live-view.ts';

function snapshot(changes: Partial<FleetSnapshot> = {}): FleetSnapshot {
  return {
    phase: 'running',
    elapsedMs: 12_345,
    remainingMs: undefined,
    discord: 'simulator',
    workers: [
      {
        workerId: 'worker-1',
        pid: 1,
        state: 'running',
        coordinator: true,
        shardCount: 2,
        readyShardCount: 1,
        cpuPercent: 41.6,
        rssMb: 120.4,
        eventsPerSecond: 700,
        warnings: 2,
        errors: 0,
      },
    ],
    shards: [
      { shardId: 0, state: 'ready', ready: true, workerId: 'worker-1', guildCount: 10 },
      { shardId: 1, state: 'resuming', ready: false, workerId: 'worker-1', guildCount: 10 },
      { shardId: 2, state: 'unheld', ready: false, workerId: undefined, guildCount: 0 },
    ],
    guildCount: 20,
    emittedPerSecond: 999.6,
    deliveredPerSecond: 990,
    latencyMs: { p50: 180, p99: 420 },
    totals: undefined,
    identifies: 3,
    resumes: 1,
    handoffs: 4,
    takeovers: 5,
    happenings: [{ atMs: 9000, text: 'shard 1: worker-2 -> worker-1' }],
    ...changes,
  };
}

const totals = {
  emitted: 100,
  delivered: 90,
  undeliverable: 0,
  lost: 1,
  pending: 9,
  duplicated: 2,
  duplicatedUnfenced: 0,
  reordered: 3,
  unknown: 0,
};

class Terminal {
  readonly isTTY: boolean;
  readonly columns = 100;
  written = '';
  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }
  write(text: string): void {
    this.written += text;
  }
}

describe('renderView', () => {
  test('shows workers, shards by holder and state, figures and happenings', () => {
    const text = renderView(snapshot({ totals, remainingMs: 5000 }), 200).join('\n');
    expect(text).toContain('running, 12.3 s, 5.0 s left  (simulated Discord)');
    expect(text).toMatch(/worker-1 \* +running +1\/2 +42 % +120 MB +700 +2\n/);
    expect(text).toContain('0  A a .\n');
    expect(text).toContain('1 of 3 shards ready   3 identifies   1 resumes   4 handoffs   5 takeovers');
    expect(text).toContain('events/s in 1000, out 990   latency p50 180 ms, p99 420 ms');
    expect(text).toContain('emitted 100   delivered 90   under way 9   lost 1   duplicated 2   reordered 3');
    expect(text).toContain('9.0 s  shard 1: worker-2 -> worker-1');
  });

  test('leaves out the ledger where there is none, and what the terminal is too narrow for', () => {
    const lines = renderView(snapshot({ discord: 'discord' }), 40);
    expect(lines.join('\n')).not.toMatch(/emitted|simulated/);
    expect(lines.every((line) => line.length <= 40)).toBe(true);
    expect(lines.some((line) => line.endsWith('…'))).toBe(true);
  });
});

describe('LiveView', () => {
  test('draws over what it drew before on a terminal; a note stays above', () => {
    const terminal = new Terminal(true);
    const view = new LiveView(terminal);
    view.update(snapshot());
    const height = terminal.written.split('\n').length - 1;
    expect(terminal.written).not.toContain('\u001b');
    terminal.written = '';
    view.update(snapshot({ happenings: [] }));
    expect(terminal.written).toMatch(new RegExp(`^\\u001b\\[${height}A\\u001b\\[JBaton`));
    terminal.written = '';
    view.note('stopping');
    expect(terminal.written).toBe(`\u001b[${height - 1}A\u001b[Jstopping\n`);
    terminal.written = '';
    view.update(snapshot());
    expect(terminal.written).not.toContain('\u001b');
  });

  test('never draws more than the terminal holds', () => {
    const terminal = Object.assign(new Terminal(true), { rows: 6 });
    new LiveView(terminal).update(snapshot());
    expect(terminal.written.split('\n')).toHaveLength(6);
  });

  test('writes a plain line every five seconds and at each phase elsewhere', () => {
    const output = new Terminal(false);
    const view = new LiveView(output);
    for (const elapsedMs of [0, 1000, 4999, 5000, 6000, 10_000]) view.update(snapshot({ elapsedMs }));
    expect(output.written.trim().split('\n')).toHaveLength(3);
    view.update(snapshot({ elapsedMs: 10_100, phase: 'draining' }));
    expect(output.written.trim().split('\n').at(-1)).toMatch(/^10.1 s draining: 1 of 1 workers, 1 of 3 shards ready/);
    expect(output.written).not.toContain('\u001b');
  });

  test('a plain line tells the rate in only with a ledger', () => {
    expect(renderPlainLine(snapshot())).not.toContain('events/s in');
    expect(renderPlainLine(snapshot({ totals }))).toContain('1000 events/s in, 990 events/s out');
  });
});
