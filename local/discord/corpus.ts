import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type JsonObject = Record<string, unknown>;

/** One payload of the corpus: its `d`, and whether it was written in ASCII with `\u` escapes for the rest. */
export interface CorpusItem {
  readonly d: JsonObject;
  readonly escaped: boolean;
}

/** Names of the intents profiles that `mix.json` knows. */
export const mixProfiles = ['privileged_all', 'no_privileged', 'guilds_only'] as const;
export type MixProfile = (typeof mixProfiles)[number];

/** Payloads by event type, and how often each type occurs. */
export interface Corpus {
  readonly items: ReadonlyMap<string, readonly CorpusItem[]>;
  readonly unknownEvents: readonly { readonly t: string; readonly d: unknown }[];
  readonly mixes: Readonly<Record<MixProfile, Readonly<Record<string, number>>>>;
}

const folder = join(import.meta.dirname, 'corpus');

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(join(folder, file), 'utf8'));
}

/** Reads the payloads in `corpus/`. They belong to this package, so they are taken as they are. */
export function loadCorpus(): Corpus {
  const items = new Map<string, CorpusItem[]>();
  for (const file of readdirSync(folder)) {
    const type = /^([A-Z_]+)\.json$/.exec(file)?.[1];
    if (!type || type.startsWith('_')) continue;
    // One payload a line: the text of a line tells how it was written.
    const lines = readFileSync(join(folder, file), 'utf8').trim().split('\n').slice(1, -1);
    items.set(
      type,
      lines.map((line) => {
        const d = JSON.parse(line.replace(/,\s*$/, '')) as JsonObject;
        return { d, escaped: /\\u/.test(line) && isAscii(line) && !isAscii(JSON.stringify(d)) };
      }),
    );
  }
  const mix = readJson('mix.json') as { profiles: Record<MixProfile, { percent: Record<string, number> }> };
  return {
    items,
    unknownEvents: readJson('_unknown-events.json') as { t: string; d: unknown }[],
    mixes: {
      privileged_all: mix.profiles.privileged_all.percent,
      no_privileged: mix.profiles.no_privileged.percent,
      guilds_only: mix.profiles.guilds_only.percent,
    },
  };
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length;
}

/** The same JSON with every character beyond ASCII written as an escape. */
export function escapeNonAscii(json: string): string {
  // oxlint-disable-next-line no-control-regex
  return json.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
