import { spawn } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, extname, join, resolve } from 'node:path';
import { builtFolder } from '../local/console-assets.ts';

const root = resolve(import.meta.dirname, '..');
/** What npm packs: compiled, because Node strips no types below a folder `node_modules`. */
export const packageFolder = join(root, 'dist/baton');
/** Somebody who adds a picture or a corpus notices here what everybody will download. */
const maxTarballBytes = 1_500_000;

/** What the compiler leaves out, by its path in the clone and in the package. */
const assets = [
  'LICENSE',
  'README.md',
  'docs',
  'gateway-workers/Dockerfile',
  'infra/lighter-packages/node-http.cjs',
  'local/discord/corpus',
] as const;
/** What only the build of the console's page needs. */
const pagePackages: readonly string[] = ['preact', 'uplot', 'vite'];
/** What `baton/infra` needs and nothing else does: whoever uses it has them. */
const infraPackages = ['aws-cdk-lib', 'constructs', 'esbuild'] as const;

interface PackageFile {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
  readonly imports: Readonly<Record<string, string>>;
}

/**
 * `npm run package`: compiles the package into dist/baton and packs it, as `npm publish dist/baton` would. Prints the
 * tarball's path. Resolves to the exit code.
 */
export async function main(): Promise<number> {
  rmSync(packageFolder, { recursive: true, force: true });
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.package.json'], root);
  nameSources();
  for (const path of assets) {
    // Pictures of the documentation are most of its size.
    const filter = (file: string) => extname(file) !== '.png';
    cpSync(join(root, path), join(packageFolder, path), { recursive: true, filter });
  }
  cpSync(await builtFolder(), join(packageFolder, 'console/built'), { recursive: true });
  const source = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as PackageFile;
  writeFileSync(join(packageFolder, 'package.json'), `${JSON.stringify(publishedFile(source), null, 2)}\n`);
  const packed = await run(
    'npm',
    ['pack', '--silent', '--no-update-notifier', '--pack-destination', '..'],
    packageFolder,
  );
  const tarball = join(root, 'dist', basename(packed.trim()));
  const { size } = statSync(tarball);
  console.log(`${tarball} (${(size / 1e6).toFixed(2)} MB)`);
  if (size <= maxTarballBytes) return 0;
  console.error(`the tarball has ${size} bytes, and ${maxTarballBytes} are the limit: see scripts/package.ts`);
  return 1;
}

/** The compiler's maps lead to this clone; traces of a package name its sources as if they stood beside what runs. */
function nameSources(): void {
  for (const file of readdirSync(packageFolder, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js.map')) continue;
    const path = join(packageFolder, file);
    const map = JSON.parse(readFileSync(path, 'utf8')) as { sources: string[] };
    writeFileSync(path, JSON.stringify({ ...map, sources: map.sources.map((source) => basename(source)) }));
  }
}

/** The package.json of the package: compiled entries, no scripts, what it needs and no more. */
export function publishedFile(source: PackageFile): Record<string, unknown> {
  const { scripts: _, devDependencies, dependencies, ...kept } = source as PackageFile & { scripts: unknown };
  const needed = Object.entries(dependencies).filter(([name]) => !pagePackages.includes(name));
  return {
    ...kept,
    bin: { baton: './local/baton-program.js' },
    exports: compiled(source.exports),
    imports: compiled(source.imports),
    dependencies: Object.fromEntries(needed),
    peerDependencies: Object.fromEntries(infraPackages.map((name) => [name, `^${devDependencies[name]}`])),
    peerDependenciesMeta: Object.fromEntries(infraPackages.map((name) => [name, { optional: true }])),
  };
}

function compiled(entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([name, path]) => [name, path.replace(/\.ts$/, '.js')]));
}

/** What it prints. @throws {Error} with all that it said when it fails. */
function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], shell: process.platform === 'win32' });
    let said = '';
    let output = '';
    child.stdout.on('data', (text: Buffer) => (output += text.toString()));
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${basename(command)} ${args.join(' ')} failed (exit code ${code}):\n${output}${said}`));
    });
  });
}
