import { readFileSync, writeFileSync } from 'node:fs';

/** The parts of a .cpuprofile (Chrome DevTools Protocol, `Profiler.Profile`) that are used here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

interface Frame {
  readonly name: string;
  ms: number;
  readonly callees: Map<string, Frame>;
}

export interface FlameGraphOptions {
  readonly profile: string;
  readonly out: string;
  /** Only the last so many milliseconds: what came before is the start of the process. */
  readonly last: number;
}

const width = 1200;
const rowHeight = 17;
const smallestPixels = 1.5;
const charPixels = 6.2;

/** Draws where the time of a .cpuprofile went: wide is long, callers below, the idle left out. */
export function drawFlameGraph({ profile, out, last }: FlameGraphOptions): void {
  const root = fold(JSON.parse(readFileSync(profile, 'utf8')) as CpuProfile, last);
  const boxes: string[] = [];
  const depth = draw(root, 0, 0, width / root.ms, boxes);
  const height = depth * rowHeight + 24;
  writeFileSync(
    out,
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="monospace" font-size="10.5">` +
      `<rect width="${width}" height="${height}" fill="#fff"/>` +
      `<text x="4" y="14">${Math.round(root.ms)} ms of work in ${Math.round(last / 1000)} s</text>` +
      `<g transform="translate(0 ${height}) scale(1 -1)">${boxes.join('')}</g></svg>\n`,
  );
}

function fold({ nodes, samples, timeDeltas }: CpuProfile, lastMs: number): Frame {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parentOf = new Map(
    nodes.flatMap((node) => (node.children ?? []).map((child): [number, number] => [child, node.id])),
  );
  const root: Frame = { name: 'all', ms: 0, callees: new Map() };
  let leftMs = timeDeltas.reduce((sum, delta) => sum + delta, 0) / 1000;
  for (const [index, id] of samples.entries()) {
    const ms = (timeDeltas[index] as number) / 1000;
    const isEarly = leftMs > lastMs;
    leftMs -= ms;
    if (isEarly || byId.get(id)?.callFrame.functionName === '(idle)') continue;
    const stack: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parentOf.get(at)) {
      const node = byId.get(at);
      if (node !== undefined && node.callFrame.functionName !== '(root)') stack.push(nameOf(node.callFrame));
    }
    let frame = root;
    frame.ms += ms;
    for (const name of stack.reverse()) {
      const callee: Frame = frame.callees.get(name) ?? { name, ms: 0, callees: new Map() };
      frame.callees.set(name, callee);
      callee.ms += ms;
      frame = callee;
    }
  }
  return root;
}

function nameOf({ functionName, url }: { functionName: string; url: string }): string {
  const file = url.split('/').slice(-2).join('/');
  return `${functionName === '' ? '(anonymous)' : functionName}${file === '' ? '' : ` ${file}`}`;
}

/** Adds the boxes of a frame's callees; the depth of the deepest. */
function draw(frame: Frame, x: number, row: number, pixelsPerMs: number, boxes: string[]): number {
  let at = x;
  let deepest = row;
  for (const callee of [...frame.callees.values()].sort((one, other) => other.ms - one.ms)) {
    const wide = callee.ms * pixelsPerMs;
    if (wide >= smallestPixels) {
      boxes.push(box(callee, at, row, wide));
      deepest = Math.max(deepest, draw(callee, at, row + 1, pixelsPerMs, boxes));
    }
    at += wide;
  }
  return Math.max(deepest, row + 1);
}

function box({ name, ms }: Frame, x: number, row: number, wide: number): string {
  const y = row * rowHeight;
  const label = name.slice(0, Math.max(0, Math.floor(wide / charPixels) - 1));
  const text =
    label.length < 3
      ? ''
      : `<text x="${(x + 2).toFixed(1)}" y="${-(y + 4.5)}" transform="scale(1 -1)">${escaped(label)}</text>`;
  return (
    `<g><title>${escaped(name)}: ${ms.toFixed(1)} ms</title>` +
    `<rect x="${x.toFixed(1)}" y="${y}" width="${Math.max(0.5, wide - 0.5).toFixed(1)}" height="${rowHeight - 1}" fill="${colourOf(name)}"/>${text}</g>`
  );
}

/** Ours, the WebSocket layer, AWS's client, Node. */
function colourOf(name: string): string {
  if (/ (gateway|publishing|shard|shared|coordination|gateway-workers)\/\w/.test(name)) return '#f7b267';
  if (/ lib\/(receiver|websocket|buffer-util)/.test(name)) return '#9bc1bc';
  if (/ (dist-cjs|dist-es|submodules|[a-z-]+)\/index\.js/.test(name)) return '#c3b1e1';
  if (name.startsWith('(garbage')) return '#e76f51';
  return '#dfe4ea';
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
