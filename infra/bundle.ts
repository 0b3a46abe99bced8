import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { buildSync } from 'esbuild';
import { moduleExtension } from '../shared/module-extension.ts';

/** The folder that holds package.json: of a clone, or of the package below somebody's node_modules. */
export const repositoryRoot = resolve(import.meta.dirname, '..');

/** Programs that are shipped as one file each, by the path of their entry from the root. */
export const programs = {
  worker: `gateway-workers/container${moduleExtension}`,
  events: `functions/events/handler${moduleExtension}`,
  interactions: `functions/interactions/handler${moduleExtension}`,
  'interactions-endpoint': `functions/interactions/endpoint/handler${moduleExtension}`,
  rebalance: `functions/rebalance/handler${moduleExtension}`,
  stats: `functions/stats/handler${moduleExtension}`,
  operate: `functions/operate/handler${moduleExtension}`,
  directory: `functions/directory/handler${moduleExtension}`,
} as const;

export type ProgramName = keyof typeof programs;

/** Threads that a program starts: each is a file beside the program's own, loaded when it is needed. */
const threads: Readonly<Partial<Record<ProgramName, Readonly<Record<string, string>>>>> = {
  worker: { 'sandbox-thread.mjs': `gateway-workers/eval/sandbox-thread${moduleExtension}` },
};

/** A folder of handlers, and what is generated from it: what entries import as `#handlers` and `#handler-manifest`. */
export interface HandlerLists {
  readonly handlers: string;
  readonly listFile: string;
  readonly manifestFile: string;
}

/**
 * Bundles a program, the AWS SDK included, to one ES module for Node 24 with a source map beside it, and its threads
 * likewise. Names are kept for readable stack traces, but in functions: there the source map brings them back.
 * What is written depends on the sources alone, not on where it is written.
 * @throws when esbuild cannot resolve or compile something.
 */
export function bundleProgram(program: ProgramName, outputFile: string, lists?: HandlerLists): void {
  bundleFile(programs[program], outputFile, lists);
  for (const [file, entry] of Object.entries(threads[program] ?? {})) {
    bundleFile(entry, join(dirname(outputFile), file), lists);
  }
}

const { resolve: resolvePackage } = createRequire(import.meta.url);

/**
 * The same without what functions do not use, because they start often and a cold start is mostly the loading of code:
 * `fetch` of Node.js in place of a second undici, no gateway client, no emitter of its own.
 */
const lighterPackages = {
  '@discordjs/core': join(dirname(resolvePackage('@discordjs/core')), 'http-only.mjs'),
  '@discordjs/rest': join(dirname(resolvePackage('@discordjs/rest')), 'web.mjs'),
  '@vladfrangu/async_event_emitter': join(
    import.meta.dirname,
    `lighter-packages/async-event-emitter${moduleExtension}`,
  ),
  'node:http': join(import.meta.dirname, 'lighter-packages/node-http.cjs'),
};

function bundleFile(entry: string, outputFile: string, lists: HandlerLists | undefined): void {
  const base =
    lists === undefined || isWithin(repositoryRoot, lists.handlers) ? repositoryRoot : dirname(lists.handlers);
  const isFunction = entry.startsWith('functions/');
  const { outputFiles } = buildSync({
    absWorkingDir: base,
    entryPoints: [join(repositoryRoot, entry)],
    // Paths of sources are relative to the output, so it is as if it were written beside the handlers' folder.
    outfile: join(base, basename(outputFile)),
    write: false,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    mainFields: ['module', 'main'],
    minifySyntax: true,
    minifyWhitespace: true,
    minifyIdentifiers: isFunction,
    alias: {
      ...(isFunction && lighterPackages),
      ...(lists && { '#handlers': lists.listFile, '#handler-manifest': lists.manifestFile }),
    },
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    // Packages in CommonJS call `require` for Node's own modules, which an ES module does not have.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
  mkdirSync(dirname(outputFile), { recursive: true });
  for (const { path, contents, text } of outputFiles) {
    const isMap = path.endsWith('.map');
    writeFileSync(
      join(dirname(outputFile), basename(path)),
      isMap && lists ? withoutStaging(text, lists, base) : contents,
    );
  }
}

/** The source map with generated modules by their names: they are in another folder at every synthesis. */
function withoutStaging(map: string, { listFile, manifestFile }: HandlerLists, base: string): string {
  const { sources, ...rest } = JSON.parse(map) as { sources: string[] };
  const staged = new Set([listFile, manifestFile].map((file) => relative(base, file).split(sep).join('/')));
  return JSON.stringify({ ...rest, sources: sources.map((path) => (staged.has(path) ? basename(path) : path)) });
}

function isWithin(folder: string, path: string): boolean {
  return path.startsWith(folder + sep);
}

if (import.meta.main) {
  const [program, outputFile] = process.argv.slice(2);
  if (program === undefined || !Object.hasOwn(programs, program) || outputFile === undefined) {
    process.stderr.write(`usage: node infra/bundle.ts ${Object.keys(programs).join('|')} OUTPUT_FILE\n`);
    process.exitCode = 2;
  } else {
    bundleProgram(program as ProgramName, resolve(outputFile));
  }
}
