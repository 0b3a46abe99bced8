import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { moduleExtension } from '../../shared/module-extension.ts';
import { deriveManifest } from './handler-manifest.ts';
import { handlersDirectory, loadHandlers } from './load-handlers.ts';
import { createRegistry, type HandlerFile } from './registry.ts';

const notice = '// Written by scripts/generate-handler-lists.ts from functions/handlers. Do not edit.';
const lineWidth = 120;
const packageRoot = resolve(import.meta.dirname, '../..');

/** A folder of handlers and the modules that are generated from it, which programs import as `#handlers` and `#handler-manifest`. */
export interface HandlerLists {
  readonly directory: string;
  readonly listFile: string;
  readonly manifestFile: string;
}

/** Those of functions/handlers. */
export const ownHandlerLists: HandlerLists = {
  directory: handlersDirectory,
  listFile: join(packageRoot, 'functions/handlers.generated.ts'),
  manifestFile: join(packageRoot, 'shared/handler-manifest.generated.ts'),
};

/**
 * What the generated files should say, by their path: the list of handler modules, for bundles that cannot read a
 * folder, and the manifest, for the workers.
 * @throws {BatonError} `HANDLERS_INVALID`, naming file, field and rule of everything that is wrong with the handlers.
 */
export async function generateHandlerLists(lists: HandlerLists): Promise<ReadonlyMap<string, string>> {
  const files = await loadHandlers(lists.directory);
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
  return new Map([
    [lists.listFile, handlerList(files, lists)],
    [lists.manifestFile, manifest.join('\n')],
  ]);
}

/** Writes the generated files that are not up to date. The answer is their paths. */
export async function writeHandlerLists(lists: HandlerLists): Promise<string[]> {
  const written: string[] = [];
  for (const [path, text] of await generateHandlerLists(lists)) {
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) continue;
    await writeFile(path, text);
    written.push(path);
  }
  return written;
}

function handlerList(files: readonly HandlerFile[], { directory, listFile }: HandlerLists): string {
  const fromList = (path: string) => {
    const way = relative(dirname(listFile), path).split(sep).join('/');
    return way.startsWith('.') ? way : `./${way}`;
  };
  // Names of files begin with the two folders that they are in.
  const pathOf = (file: string) => resolve(directory, '../..', file);
  const registry = resolve(import.meta.dirname, `registry${moduleExtension}`);
  return [
    notice,
    ...files.map(({ file }, index) => `import * as module${index} from ${quoted(fromList(pathOf(file)))};`),
    `import type { HandlerFile } from ${quoted(fromList(registry))};`,
    '',
    'export const handlerFiles: readonly HandlerFile[] = [',
    ...files.map(({ file }, index) => `  { file: ${quoted(file)}, exports: module${index} },`),
    '];',
    '',
  ].join('\n');
}

/** An array of names in the formatter's style: on one line if it fits. */
function property(name: string, values: readonly string[]): string {
  const line = `  ${name}: [${values.map(quoted).join(', ')}],`;
  return line.length <= lineWidth
    ? line
    : [`  ${name}: [`, ...values.map((value) => `    ${quoted(value)},`), '  ],'].join('\n');
}

function quoted(text: string): string {
  return `'${text.replaceAll(/['\\]/g, '\\$&')}'`;
}
