import { readFile, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { deriveManifest } from './handler-manifest.ts';
import { loadHandlers } from './load-handlers.ts';
import { createRegistry, type HandlerFile } from './registry.ts';

/** Generated files, relative to the repository's root. */
export const handlerListFile = 'functions/handlers.generated.ts';
export const handlerManifestFile = 'shared/handler-manifest.generated.ts';

const repositoryRoot = resolve(import.meta.dirname, '../..');
const notice = '// Written by scripts/generate-handler-lists.ts from functions/handlers. Do not edit.';
const lineWidth = 120;

/** A generated file: its path, relative to the root, and its text. */
export interface GeneratedFile {
  readonly path: string;
  readonly text: string;
}

/**
 * What the generated files should say: the list of handler modules, for bundles that cannot read a folder, and the
 * manifest, for the workers.
 * @throws {BatonError} `HANDLERS_INVALID`, naming file, field and rule of everything that is wrong with the handlers.
 */
export async function generateHandlerLists(): Promise<GeneratedFile[]> {
  const files = await loadHandlers();
  const { eventTypes, intents, privilegedIntents } = deriveManifest(createRegistry(files));
  const manifest = [
    notice,
    '',
    '/** What workers need to know of the handlers: event types to forward, and the intents that carry them. */',
    'export const handlerManifest = {',
    property('eventTypes', eventTypes),
    `  intents: ${intents},`,
    property('privilegedIntents', privilegedIntents),
    '} as const;',
    '',
  ];
  return [
    { path: handlerListFile, text: handlerList(files) },
    { path: handlerManifestFile, text: manifest.join('\n') },
  ];
}

/** Writes the generated files that are not up to date. The answer names them. */
export async function writeHandlerLists(): Promise<string[]> {
  const written: string[] = [];
  for (const { path, text } of await generateHandlerLists()) {
    const target = resolve(repositoryRoot, path);
    if ((await readFile(target, 'utf8').catch(() => undefined)) === text) continue;
    await writeFile(target, text);
    written.push(path);
  }
  return written;
}

function handlerList(files: readonly HandlerFile[]): string {
  return [
    notice,
    ...files.map(({ file }, index) => `import * as module${index} from './${file.replace(/^functions\//, '')}';`),
    "import type { HandlerFile } from './kit/registry.ts';",
    '',
    'export const handlerFiles: readonly HandlerFile[] = [',
    ...files.map(({ file }, index) => `  { file: '${file}', exports: module${index} },`),
    '];',
    '',
  ].join('\n');
}

/** An array of names in the formatter's style: on one line if it fits. */
function property(name: string, values: readonly string[]): string {
  const quoted = values.map((value) => `'${value}'`);
  const line = `  ${name}: [${quoted.join(', ')}],`;
  return line.length <= lineWidth
    ? line
    : [`  ${name}: [`, ...quoted.map((value) => `    ${value},`), '  ],'].join('\n');
}
