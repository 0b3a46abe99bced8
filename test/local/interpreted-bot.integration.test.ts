import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EventDefinition } from '../../functions/kit/define-event.ts';
import type { EventContext } from '../../functions/kit/event-context.ts';
import { createRegistry } from '../../functions/kit/registry.ts';
import { InterpretedBot } from '../../local/interpreted-bot.ts';
import { systemClock } from '../../shared/clock.ts';
import { silentLogger } from '../../shared/logger.ts';

let folder: string;
const bots: InterpretedBot[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-bot-'));
});
afterEach(async () => {
  for (const bot of bots.splice(0)) await bot.stop();
  await rm(folder, { recursive: true });
});

async function start(file: string, { respawn = true, command = ['sh'] } = {}) {
  const started = await InterpretedBot.start({
    file,
    command,
    environment: { NOTES: join(folder, 'notes') },
    respawn,
    clock: systemClock,
    logger: silentLogger,
  });
  bots.push(started.bot);
  return started.handlers;
}

async function script(text: string): Promise<string> {
  const file = join(folder, 'bot.bot');
  await writeFile(file, text);
  return file;
}

const shellBot = join(import.meta.dirname, 'shard-manager/shell-bot.bot');
const signal = AbortSignal.timeout(60_000);
const ctx = { shard: { id: 1, total: 2 }, guildId: '7', signal } as EventContext;
const handle = (exports: Readonly<Record<string, unknown>>, content: string): Promise<void> =>
  Promise.resolve(
    (exports['MESSAGE_CREATE'] as EventDefinition<'MESSAGE_CREATE'>).run({ content } as never, ctx as never),
  );

test('is a module of handlers for the events it wants', async () => {
  const handlers = await start(shellBot);
  expect(handlers.file).toBe('shard-manager/shell-bot.bot');
  expect([...createRegistry([handlers]).events.keys()]).toEqual(['MESSAGE_CREATE', 'GUILD_UPDATE']);
});

test('gets each event as a line and is waited for', async () => {
  const { exports } = await start(shellBot);
  await Promise.all(['one', 'two', 'three'].map((content) => handle(exports, content)));
  const lines = (await readFile(join(folder, 'notes'), 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(lines).toEqual(
    ['one', 'two', 'three'].map((content, index) => ({
      id: index + 1,
      type: 'MESSAGE_CREATE',
      shard: { id: 1, total: 2 },
      guildId: '7',
      data: { content },
    })),
  );
});

test('tells what went wrong', async () => {
  const { exports } = await start(shellBot);
  await expect(handle(exports, 'fail-once')).rejects.toThrow('no such command');
  await handle(exports, 'and goes on');
});

test('that crashes is started again, and what comes meanwhile waits for it', async () => {
  const { exports } = await start(shellBot);
  await expect(handle(exports, 'crash-now')).rejects.toThrow('ended with exit code 3');
  await handle(exports, 'after');
});

test('that crashes stays down where nobody wants it back', async () => {
  const { exports } = await start(shellBot, { respawn: false });
  await expect(handle(exports, 'crash-now')).rejects.toThrow('ended with exit code 3');
  await expect(handle(exports, 'after')).rejects.toThrow('stays down (respawn is false)');
});

test.each([
  ['echo hello; sleep 60', 'its first line is "hello"'],
  ['exit 4', 'ended with exit code 4 before its first line'],
  [`echo '{"events":[]}'; sleep 60`, 'its first line is'],
])('%s is no bot', async (text, complaint) => {
  await expect(start(await script(text))).rejects.toMatchObject({
    code: 'HANDLERS_INVALID',
    message: expect.stringContaining(complaint) as string,
  });
});

test('an interpreter that is not there is named', async () => {
  await expect(start(shellBot, { command: ['no-such-interpreter'] })).rejects.toThrow(
    'no-such-interpreter cannot be run',
  );
});
