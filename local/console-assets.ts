import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { extname, join, relative, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import packageFile from '../package.json' with { type: 'json' };

const root = resolve(import.meta.dirname, '..');
const source = join(root, 'console');
const builds = join(root, '.baton', 'console');
/** The page as the package brings it; in a clone there is none. */
const prebuilt = join(root, 'console', 'built');
/** Builds of earlier sources that are kept, for whoever goes back and forth between two. */
const buildsKept = 3;

/** A file of the built page. */
export interface ConsoleAsset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzipped: Buffer;
  /** Its name carries the hash of its content, so nobody needs to ask for it twice. */
  readonly immutable: boolean;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/**
 * The console's page: as the package brings it, or built by Vite when these sources have not been built yet (about a
 * second), else as it was built then. By path from the root, `/index.html` among them. Several processes may call it at a time.
 * @throws {Error} when the page does not build, with what Vite says.
 */
export async function consoleAssets(): Promise<ReadonlyMap<string, ConsoleAsset>> {
  const directory = existsSync(prebuilt) ? prebuilt : await builtFolder();
  const paths = readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    paths.map((path) => {
      const body = readFileSync(path);
      const name = `/${relative(directory, path).replaceAll('\\', '/')}`;
      const type = types[extname(path)] ?? 'application/octet-stream';
      return [name, { type, body, gzipped: gzipSync(body), immutable: name.startsWith('/assets/') }];
    }),
  );
}

/** Folder of the page as its sources are now. @throws {Error} when it does not build, with what Vite says. */
export async function builtFolder(): Promise<string> {
  const directory = join(builds, hashOfSource());
  if (!existsSync(directory)) await build(directory);
  return directory;
}

async function build(directory: string): Promise<void> {
  mkdirSync(builds, { recursive: true });
  const unfinished = mkdtempSync(join(builds, 'unfinished-'));
  try {
    const { build: viteBuild } = await import('vite');
    await viteBuild({
      configFile: join(source, 'vite-config.ts'),
      root: source,
      logLevel: 'error',
      build: { outDir: unfinished, emptyOutDir: true },
    });
    forgetOldBuilds();
    renameSync(unfinished, directory);
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true });
    // Another process was quicker: what it built is the same.
    if (!existsSync(directory)) throw error;
  }
}

function forgetOldBuilds(): void {
  const finished = readdirSync(builds, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('unfinished-'))
    .map((entry) => join(builds, entry.name))
    .sort((one, other) => statSync(one).mtimeMs - statSync(other).mtimeMs);
  for (const old of finished.slice(0, Math.max(0, finished.length - buildsKept))) {
    rmSync(old, { recursive: true, force: true });
  }
}

/** Of everything that goes into a build: the page, the shared files that it imports, and what builds it. */
function hashOfSource(): string {
  const hash = createHash('sha256');
  const { vite, preact, uplot } = packageFile.dependencies;
  hash.update(JSON.stringify({ vite, preact, uplot }));
  for (const folder of [source, join(root, 'shared', 'stats')]) {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
    for (const file of [...files, join(root, 'shared', 'sharding.ts')]) {
      hash.update(relative(root, file));
      hash.update(readFileSync(file));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
