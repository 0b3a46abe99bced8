import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { main as buildPackage } from '../../scripts/package.ts';

const execute = promisify(execFile);
const root = resolve(import.meta.dirname, '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };

interface PackageFile {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string>>;
  readonly bin: { readonly baton: string };
  readonly scripts?: unknown;
  readonly devDependencies?: unknown;
}

/** Somebody's project, with the packed package and what it says it needs. */
let project: string;
let installed: string;
let packageFile: PackageFile;

beforeAll(async () => {
  project = mkdtempSync(join(tmpdir(), 'baton-project-'));
  expect(await buildPackage()).toBe(0);
  installed = join(project, 'node_modules/baton');
  mkdirSync(installed, { recursive: true });
  const tarball = join(root, `dist/baton-${version}.tgz`);
  await execute('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed]);
  packageFile = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as PackageFile;
  const { dependencies, peerDependencies } = packageFile;
  for (const name of [...Object.keys({ ...dependencies, ...peerDependencies }), '@types/node']) {
    mkdirSync(dirname(join(project, 'node_modules', name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(project, 'node_modules', name));
  }
  for (const [file, text] of Object.entries(sources)) {
    mkdirSync(dirname(join(project, file)), { recursive: true });
    writeFileSync(join(project, file), text);
  }
}, 300_000);
afterAll(() => rmSync(project, { recursive: true, force: true }));

const sources = {
  'package.json': '{ "name": "my-bot", "type": "module" }',
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      target: 'es2024',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      types: ['node'],
      allowImportingTsExtensions: true,
    },
    include: ['app.ts', 'handlers'],
  }),
  'app.ts': `
    import { App, Stack } from 'aws-cdk-lib';
    import { BatonFleet, type BatonFleetProps } from 'baton/infra';

    const props: BatonFleetProps = {
      fleet: 'mybot',
      capacity: { cpu: 256, memoryMb: 512, minWorkers: 1, maxWorkers: 2, spotShare: 0 },
      handlers: 'handlers',
    };
    const app = new App({ outdir: 'cdk.out' });
    const stack = new Stack(app, 'Bot');
    const fleet = new BatonFleet(stack, 'Fleet', props);
    fleet.events.queue.metricApproximateAgeOfOldestMessage();
    app.synth();
  `,
  'handlers/dice.ts': `
    import { appendFileSync } from 'node:fs';
    import { defineCommand, defineEvent } from 'baton/handlers';
    import { sides } from './_sides.ts';

    export const roll = defineCommand({
      name: 'roll-for-me',
      description: 'Rolls',
      options: { times: { type: 'integer', description: 'How often', required: true } },
      async run({ options, reply }) {
        const times: number = options.times;
        await reply(String(times * sides));
      },
    });

    export const said = defineEvent('MESSAGE_CREATE', (message) => {
      const { SEEN_FILE } = process.env;
      if (SEEN_FILE !== undefined) appendFileSync(SEEN_FILE, message.content.length + '\\n');
    });
    export const voice = defineEvent('VOICE_STATE_UPDATE', () => {});
  `,
  'handlers/_sides.ts': 'export const sides: number = 6;',
};

/** What a program says on stdout; it is run with the project's folder as the current one. */
async function node(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const { AWS_REGION: _, ...rest } = process.env;
  const { stdout } = await execute(process.execPath, [...args], { cwd: project, env: { ...rest, ...env } });
  return stdout;
}

test('the package holds JavaScript and says what it needs', () => {
  expect(packageFile).not.toHaveProperty('scripts');
  expect(packageFile).not.toHaveProperty('devDependencies');
  const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
  expect(files.filter((file) => /(?<!\.d)\.tsx?$/.test(file))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(['console/built/index.html', 'gateway-workers/Dockerfile', 'LICENSE']));
  const needed = new Set([...Object.keys({ ...packageFile.dependencies, ...packageFile.peerDependencies }), 'baton']);
  const entries = [...Object.values(packageFile.exports), packageFile.bin.baton].filter((path) => path.endsWith('.js'));
  const imported = importsFrom(entries.flatMap((path) => [path, path.replace(/\.js$/, '.d.ts')]));
  expect([...imported].filter((name) => !needed.has(name) && !builtinModules.includes(name))).toEqual([]);
});

/** Names of all packages that these modules and those that they import need. */
function importsFrom(entries: readonly string[]): Set<string> {
  const packages = new Set<string>();
  const waiting = entries.map((path) => join(installed, path));
  const seen = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    const text = readFileSync(file, 'utf8');
    for (const [, specifier = ''] of text.matchAll(/^(?:import|export)\b[^;]*?\bfrom '([^']+)'|^import '([^']+)'/gm)) {
      if (specifier.startsWith('.')) {
        const imported = resolve(dirname(file), specifier);
        const target = file.endsWith('.d.ts') ? imported.replace(/\.[jt]s$/, '.d.ts') : imported;
        if (!seen.has(target) && target.endsWith('.ts') === file.endsWith('.ts')) waiting.push(target);
        seen.add(target);
      } else if (!/^(node:|#)/.test(specifier)) {
        packages.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'));
      }
    }
  }
  return packages;
}

test('an app and handlers written with it have the right types', async () => {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  await node([tsc, '-p', '.']).catch((error: { stdout: string }) => expect.fail(error.stdout));
}, 120_000);

describe("a fleet in an app of one's own", () => {
  beforeAll(() => node(['app.ts']), 400_000);

  const assets = () =>
    readdirSync(join(project, 'cdk.out'), { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('.mjs'),
    );
  const textOf = (path: string) => readFileSync(join(project, 'cdk.out', path), 'utf8');

  test('runs the handlers of the project', () => {
    const withHandlers = assets().filter((path) => textOf(path).includes('roll-for-me'));
    // Events, interactions, and the interactions endpoint.
    expect(withHandlers.length).toBe(3);
    for (const path of withHandlers) expect(textOf(path)).not.toContain('message-counter');
    const worker = assets().find((path) => path.endsWith('worker.mjs')) as string;
    expect(textOf(worker)).toContain('"VOICE_STATE_UPDATE"]');
  });

  test('has traces that name the sources of both', () => {
    const map = assets().find((path) => textOf(path).includes('roll-for-me')) as string;
    const { sources: named } = JSON.parse(textOf(`${map}.map`)) as { sources: string[] };
    expect(named).toEqual(expect.arrayContaining(['handlers/dice.ts', 'handlers.generated.ts']));
    expect(named.join()).toContain('node_modules/baton/functions/');
  });
});

describe('the command of the package', () => {
  const baton = (...args: string[]) => [join(installed, packageFile.bin.baton), ...args];

  test('shows its help', async () => {
    expect(await node(baton('--help'))).toContain('run a whole fleet on this machine');
  }, 60_000);

  test('runs a fleet with the handlers of the project', async () => {
    const seen = join(project, 'seen.txt');
    const args = ['--duration', '5s', '--shards', '2', '--workers', '1', '--rate', '100', '--port', '0'];
    const report = await node(baton('start', ...args, '--json', '--handlers', 'handlers'), { SEEN_FILE: seen });
    expect(JSON.parse(report)).toMatchObject({ ok: true, lost: 0, duplicated: 0, reordered: 0, shards: 2 });
    expect(readFileSync(seen, 'utf8').split('\n').length).toBeGreaterThan(10);
  }, 120_000);
});
