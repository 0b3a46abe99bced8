import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = join(import.meta.dirname, '../../../local/discord/corpus');

export interface CorpusDispatch {
  readonly t: string;
  readonly d: unknown;
}

/** Every payload of the corpus with its event name. */
export function corpusDispatches(): CorpusDispatch[] {
  return readdirSync(folder)
    .filter((name) => /^[A-Z_]+\.json$/.test(name) && !name.startsWith('_'))
    .flatMap((name) => (readCorpus(name) as unknown[]).map((d) => ({ t: name.slice(0, -'.json'.length), d })));
}

export function readCorpus(name: string): unknown {
  return JSON.parse(readFileSync(join(folder, name), 'utf8'));
}
