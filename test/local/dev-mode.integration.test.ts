import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';

const root = resolve(import.meta.dirname, '../..');
const kit = (file: string) => pathToFileURL(join(root, 'functions/kit', file)).href;
const waiting = { timeout: 30_000, interval: 50 };

let folder: string;
let simulator: DiscordSimulator;
let child: ChildProcess;
let notes: string[];
let answers: { commands: [string, string][]; events: string[] }[];

const save = (file: string, text: string) => writeFile(join(folder, 'handlers', file), text);
const ping = (description: string) =>
  `import { defineCommand } from '${kit('define-command.ts')}';
   export const ping = defineCommand({ name: 'ping', description: ${description}, run: () => {} });`;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-dev-'));
  simulator = await startSimulator({ shards: 1, guildsPerShard: 1 });
  await mkdir(join(folder, 'handlers/texts'), { recursive: true });
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await save(
    'texts/text.ts',
    `import { defineEvent } from '${kit('define-event.ts')}';
    export const text = 'first'; export const ready = defineEvent('READY', () => {});`,
  );
  await save('ping.ts', `import { text } from './texts/text.ts';\n${ping('text')}`);
});
afterEach(async () => {
  child.kill('SIGKILL');
  await simulator.stop();
  await rm(folder, { recursive: true });
});

async function develop(guildId = '') {
  notes = [];
  answers = [];
  const program = join(root, 'test/local/dev-mode-process.ts');
  child = spawn(process.execPath, [program, join(folder, 'handlers'), simulator.apiUrl, guildId], {
    env: { ...process.env, DISCORD_TOKEN: simulator.token },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    const said = JSON.parse(line) as { note?: string };
    if (said.note !== undefined) notes.push(said.note);
    else answers.push(said as never);
  });
  await until(() => notes.length >= (guildId === '' ? 1 : 2));
}
const until = (holds: () => boolean) =>
  vi.waitFor(() => expect(holds(), JSON.stringify({ notes, answers })).toBe(true), waiting);
const lastNote = () => notes.at(-1) ?? '';

async function running() {
  const before = answers.length;
  child.stdin?.write('?\n');
  await until(() => answers.length > before);
  return answers.at(-1);
}

test('what is saved runs, modules that others import too; with a mistake the old handlers stay', async () => {
  await develop();
  expect(await running()).toEqual({ commands: [['ping', 'first']], events: ['READY'] });

  await save(
    'texts/text.ts',
    `import { defineEvent } from '${kit('define-event.ts')}';
    export const text = 'second'; export const typing = defineEvent('TYPING_START', () => {});`,
  );
  await until(() => /forward TYPING_START yet/.test(lastNote()));
  expect(notes).toContain('Handlers reloaded: 1 command, 1 types of events.');
  expect(await running()).toEqual({ commands: [['ping', 'second']], events: ['TYPING_START'] });

  await save('ping.ts', 'export const = 5;');
  await until(() => /^Handlers not reloaded: \S*handlers\/ping\.ts: does not load: \S/.test(lastNote()));
  await save('ping.ts', ping("''"));
  await until(() => lastNote().endsWith('ping.ts#ping: description: must have 1 to 100 characters, not 0'));
  expect(await running()).toMatchObject({ commands: [['ping', 'second']] });

  await save('ping.ts', ping("'third'"));
  await until(() => lastNote().startsWith('Workers'));
  expect(await running()).toMatchObject({ commands: [['ping', 'third']] });

  const ended = new Promise((done) => child.on('close', done));
  child.stdin?.end();
  expect(await ended).toBe(0);
});

test('commands of the development guilds follow', async () => {
  const guildId = simulator.world.guilds[0]?.id ?? '';
  await develop(guildId);
  expect(lastNote()).toBe(`Commands of guild ${guildId}: + /ping`);
  await save('ping.ts', ping("'other'"));
  await until(() => lastNote() === `Commands of guild ${guildId}: ~ /ping`);
  await save('pong.ts', ping("'pong'").replaceAll('ping', 'pong'));
  await until(() => lastNote() === `Commands of guild ${guildId}: + /pong`);
});

test('a guild that is not there is told, and the rest goes on', async () => {
  await develop('1');
  expect(lastNote()).toMatch(/^Commands not registered: the commands of guild 1: Discord said/);
  await save('ping.ts', ping("'other'"));
  await until(() => notes.some((note) => note.startsWith('Handlers reloaded')));
});
