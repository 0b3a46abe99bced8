import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';
import { renderChanges } from '../../local/register-commands-command.ts';

const root = resolve(import.meta.dirname, '../..');
let discord: DiscordSimulator;
beforeAll(async () => {
  discord = await startSimulator({ shards: 1, guildsPerShard: 1 });
});
afterAll(() => discord.stop());

async function baton(args: readonly string[], token = discord.token) {
  const child = spawn(process.execPath, [join(root, 'scripts/baton.mjs'), 'register-commands', ...args], {
    env: { ...process.env, DISCORD_TOKEN: token, DISCORD_API_URL: discord.apiUrl },
    timeout: 50_000,
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (said.stdout += text));
  child.stderr.on('data', (text) => (said.stderr += text));
  return { code: await new Promise((done) => child.on('close', done)), ...said };
}

test('registers the commands of functions/handlers', async () => {
  const dry = await baton(['--dry-run']);
  expect(dry, dry.stderr).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/would be changed[^]* {2}\+ \/ping\n/),
  });
  const guildId = discord.world.guilds[0]?.id as string;
  const first = await baton(['--json', '--guild', guildId]);
  expect(JSON.parse(first.stdout)).toMatchObject({
    dryRun: false,
    scopes: [{ guildId, added: expect.arrayContaining(['/ping']), written: true }],
  });
});

test('says in one line what is wrong', async () => {
  const [refused, missing] = await Promise.all([baton([], 'wrong'), baton([], '')]);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/^Discord refused DISCORD_TOKEN.*\n$/) });
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/^DISCORD_TOKEN is missing.*\n$/) });
});

test('shows what is added, changed and removed', () => {
  const changes = {
    guildId: undefined,
    added: ['/a'],
    changed: [{ command: '/b', fields: ['options', 'nsfw'] }],
    removed: ['C (user)'],
    unchanged: ['/d'],
    written: true,
  };
  expect(renderChanges(changes, false)).toEqual([
    'Global commands: 3 were changed, 1 as they should be.',
    '  + /a',
    '  ~ /b: options, nsfw',
    '  - C (user)',
  ]);
});
