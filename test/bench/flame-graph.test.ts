import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { drawFlameGraph } from '../../bench/flame-graph.ts';

test('draws what was busy, as wide as it took, without the idle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'baton-flames-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const frame = (functionName: string, url = '') => ({ functionName, url });
  const profile = {
    nodes: [
      { id: 1, callFrame: frame('(root)'), children: [2, 3, 5] },
      { id: 2, callFrame: frame('(idle)') },
      { id: 3, callFrame: frame('read<x>', 'file:///a/gateway/inflate.ts'), children: [4] },
      { id: 4, callFrame: frame('scan', 'file:///a/gateway/frame-scan.ts') },
      { id: 5, callFrame: frame('early', 'file:///a/b.ts') },
    ],
    // `early` lies before the last 100 ms.
    samples: [5, 2, 3, 4],
    timeDeltas: [500_000, 50_000, 10_000, 30_000],
  };
  writeFileSync(join(folder, 'a.cpuprofile'), JSON.stringify(profile));
  drawFlameGraph({ profile: join(folder, 'a.cpuprofile'), out: join(folder, 'a.svg'), last: 100 });
  const svg = readFileSync(join(folder, 'a.svg'), 'utf8');
  expect(svg).toContain('>40 ms of work');
  expect(svg).toContain('<title>read&lt;x&gt; gateway/inflate.ts: 40.0 ms</title>');
  expect(svg).toContain('<title>scan gateway/frame-scan.ts: 30.0 ms</title>');
  expect(svg).toContain('width="899.5"');
  expect(svg).not.toContain('idle');
  expect(svg).not.toContain('early');
});
