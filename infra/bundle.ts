import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { buildSync } from 'esbuild';

/** The folder that holds package.json. */
export const repositoryRoot = resolve(import.meta.dirname, '..');

/** Programs that are shipped as one file each, by the path of their entry from the root. */
export const programs = {
  worker: 'gateway-workers/container.ts',
  events: 'functions/events/handler.ts',
  interactions: 'functions/interactions/handler.ts',
  'interactions-endpoint': 'functions/interactions/endpoint/handler.ts',
  rebalance: 'functions/rebalance/handler.ts',
  stats: 'functions/stats/handler.ts',
  operate: 'functions/operate/handler.ts',
  directory: 'functions/directory/handler.ts',
} as const;

export type ProgramName = keyof typeof programs;

/** Threads that a program starts: each is a file beside the program's own, loaded when it is needed. */
const threads: Readonly<Partial<Record<ProgramName, Readonly<Record<string, string>>>>> = {
  worker: { 'sandbox-thread.mjs': 'gateway-workers/eval/sandbox-thread.ts' },
};

/**
 * Bundles a program, the AWS SDK included, to one ES module for Node 24 with a source map beside it, and its threads
 * likewise. Names are kept for readable stack traces, but in functions: there the source map brings them back.
 * @throws when esbuild cannot resolve or compile something.
 */
export function bundleProgram(program: ProgramName, outputFile: string): void {
  bundleFile(programs[program], outputFile);
  for (const [file, entry] of Object.entries(threads[program] ?? {})) {
    bundleFile(entry, join(dirname(outputFile), file));
  }
}

/**
 * The same without what functions do not use, because they start often and a cold start is mostly the loading of code:
 * `fetch` of Node.js in place of a second undici, no gateway client, no emitter of its own.
 */
const lighterPackages = {
  '@discordjs/core': join(repositoryRoot, 'node_modules/@discordjs/core/dist/http-only.mjs'),
  '@discordjs/rest': join(repositoryRoot, 'node_modules/@discordjs/rest/dist/web.mjs'),
  '@vladfrangu/async_event_emitter': join(import.meta.dirname, 'lighter-packages/async-event-emitter.ts'),
  'node:http': join(import.meta.dirname, 'lighter-packages/node-http.cjs'),
};

function bundleFile(entry: string, outputFile: string): void {
  mkdirSync(dirname(outputFile), { recursive: true });
  buildSync({
    absWorkingDir: repositoryRoot,
    entryPoints: [join(repositoryRoot, entry)],
    outfile: outputFile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    mainFields: ['module', 'main'],
    minifySyntax: true,
    minifyWhitespace: true,
    ...(entry.startsWith('functions/') && { minifyIdentifiers: true, alias: lighterPackages }),
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    // Packages in CommonJS call `require` for Node's own modules, which an ES module does not have.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
    logLevel: 'error',
  });
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
