import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { startFleet } from '../../../local/fleet.ts';
import { systemClock } from '../../../shared/clock.ts';
import { collect } from '../../../shared/directory/directory-reader.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { systemRandom } from '../../../shared/random.ts';

test('members are asked for at a real worker’s gateway, and come back as events into the directory', {
  timeout: 300_000,
}, async () => {
  const logDirectory = mkdtempSync(join(tmpdir(), 'baton-members-'));
  onTestFinished(() => rmSync(logDirectory, { recursive: true }));
  const fleet = await startFleet({
    // GUILDS and GUILD_MEMBERS: without presences GUILD_CREATE brings the bot itself and who is in voice.
    environment: { DISCORD_INTENTS: '3', BATON_DIRECTORY: 'guilds,members', BATON_DIRECTORY_PRELOAD: 'members' },
    shards: 1,
    workers: 1,
    dataDirectory: undefined,
    handlers: [],
    logDirectory,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const over = new AbortController();
  const watching = fleet.watch(over.signal);
  try {
    await fleet.untilReady(120_000, over.signal);
    const { guilds } = fleet.discord?.simulator.world ?? { guilds: [] };
    // Whoever GUILD_CREATE left out has come with a chunk.
    const [some] = guilds.filter(({ members, voiceStates }) => members.length > voiceStates.size + 1);
    if (!some) throw new Error('a world with members is needed');
    const idsOf = (members: readonly { user?: { id?: unknown } }[]) =>
      members.map(({ user }) => String(user?.id)).sort();
    for (const guild of guilds) {
      await vi.waitFor(
        async () =>
          expect(idsOf(await collect(fleet.directory.members(guild.id)))).toEqual(
            idsOf(guild.members as { user: { id: string } }[]),
          ),
        { timeout: 200_000, interval: 1000 },
      );
    }
    const onShard = await collect(fleet.directory.membersOnShard(0));
    expect(onShard).toHaveLength(guilds.reduce((sum, { members }) => sum + members.length, 0));
  } finally {
    over.abort();
    await watching;
    await fleet.close();
  }
});
