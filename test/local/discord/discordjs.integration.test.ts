import { REST } from '@discordjs/rest';
import { CompressionMethod, WebSocketManager, WebSocketShardEvents } from '@discordjs/ws';
import { Client, GatewayIntentBits, type Message } from 'discord.js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { interactionStream, readIdentity } from '../../../local/discord/event-identity.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';

// Clients that this project did not write, unmodified: what they accept is what Discord sends.

const shards = 3;
const guildsPerShard = 4;
let simulator: DiscordSimulator;
let emitted: Map<string, number>;

beforeEach(async () => {
  emitted = new Map();
  simulator = await startSimulator({
    shards,
    guildsPerShard,
    maxConcurrency: shards,
    // Short, so that clients that stagger their start do not make the test slow.
    identifyIntervalMs: 100,
    onEmit: (stream, n) => emitted.set(stream, n),
  });
});
afterEach(() => simulator.stop());

/** Resolves once `holds`, looking again each time something may have changed. */
async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('it does not come about');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const resumes = () => simulator.stats.resumes.filter(({ outcome }) => outcome === 'resumed').length;
const readies = () => simulator.stats.identifies.filter(({ outcome }) => outcome === 'ready').length;

describe('discord.js Client', () => {
  let client: Client;
  let messages: Message[];

  beforeEach(async () => {
    messages = [];
    client = new Client({
      intents: [
        GatewayIntentBits.Guilds,
        GatewayIntentBits.GuildMessages,
        GatewayIntentBits.MessageContent,
        GatewayIntentBits.GuildMembers,
      ],
      shards: 'auto',
      rest: { api: simulator.apiBaseUrl },
    });
    client.on('messageCreate', (message) => messages.push(message));
    const ready = new Promise((resolve) => client.once('clientReady', resolve));
    await client.login(simulator.token);
    await ready;
  });
  afterEach(() => client.destroy());

  test('is ready with every guild, receives messages and answers a command', async () => {
    expect(client.guilds.cache.map(({ id }) => id).sort()).toEqual(simulator.world.guilds.map(({ id }) => id).sort());
    expect(client.user?.id).toBe(simulator.world.botUser.id);
    expect(readies()).toBe(shards);
    const [guild] = simulator.world.guilds;
    if (!guild) throw new Error('no guild');
    simulator.traffic.send('MESSAGE_CREATE', guild);
    await until(() => messages.length === 1);
    expect(messages[0]?.guildId).toBe(guild.id);

    client.on('interactionCreate', (interaction) => {
      if (interaction.isChatInputCommand()) void interaction.reply(`${interaction.commandName} here`);
    });
    const interaction = simulator.traffic.sendCommand('ping', guild);
    await until(() => interaction?.callbackAfterMs !== undefined);
    expect(interaction?.answers).toMatchObject([{ kind: 'callback', type: 4, content: 'ping here' }]);

    const members = await client.guilds.cache.get(guild.id)?.members.fetch();
    expect(members?.size).toBe(guild.members.length);
  });

  test.each([
    ['op 7', () => simulator.faults.reconnect()],
    ['cut sockets', () => simulator.faults.cut()],
    ['op 9 true', () => simulator.faults.invalidateSessions({}, true)],
    ['close 4000', () => simulator.faults.close({}, { code: 4000 })],
  ])('survives %s by RESUME and misses nothing', async (_name, strike) => {
    const seen = new Set<string>();
    client.on('messageCreate', ({ id }) => seen.add(id));
    for (const guild of simulator.world.guilds) simulator.traffic.send('MESSAGE_CREATE', guild);
    expect(strike()).toBe(shards);
    for (const guild of simulator.world.guilds) simulator.traffic.send('MESSAGE_CREATE', guild);
    await until(() => seen.size === 2 * shards * guildsPerShard && resumes() === shards);
    expect(readies()).toBe(shards);
    expect(simulator.stats.resumesAtMainUrl).toBe(0);
    expect(simulator.stats.identifiesAtResumeUrl).toBe(0);
  });
});

describe.each([
  ['plain text', null],
  ['zlib-stream', CompressionMethod.ZlibNative],
])('@discordjs/ws over %s', (_name, compression) => {
  test('sees each guild’s events once and in order, through op 7 and cut sockets', async () => {
    const rest = new REST({ api: simulator.apiBaseUrl }).setToken(simulator.token as string);
    const manager = new WebSocketManager({
      token: simulator.token ?? '',
      intents:
        GatewayIntentBits.Guilds |
        GatewayIntentBits.GuildPresences |
        GatewayIntentBits.GuildMessages |
        GatewayIntentBits.GuildMessageTyping |
        GatewayIntentBits.GuildVoiceStates |
        GatewayIntentBits.MessageContent,
      rest,
      compression,
    });
    const last = new Map<string, number>();
    const wrong: string[] = [];
    let ready = 0;
    let resumed = 0;
    manager.on(WebSocketShardEvents.Ready, () => {
      ready += 1;
    });
    // The client unpacks frames asynchronously and mixes those of two connections up when it is cut amid a replay:
    // so the next blow waits for its word, not for the simulator's.
    manager.on(WebSocketShardEvents.Resumed, () => {
      resumed += 1;
    });
    manager.on(WebSocketShardEvents.Dispatch, ({ d }) => {
      const identity = readIdentity(d);
      // Interactions are one stream over all shards.
      if (!identity || identity.stream === interactionStream) return;
      const before = last.get(identity.stream) ?? 0;
      if (identity.n !== before + 1) wrong.push(`${identity.stream}: ${identity.n} after ${before}`);
      last.set(identity.stream, identity.n);
    });
    await manager.connect();
    await until(() => ready === shards);
    simulator.traffic.start({ eventsPerSecond: 500, mix: 'privileged_all', interactionsPerSecond: 5 });
    const more = async (events: number) => {
      const goal = simulator.stats.emitted + events;
      await until(() => simulator.stats.emitted >= goal);
    };
    await more(200);
    simulator.faults.reconnect();
    await until(() => resumed === shards);
    await more(100);
    simulator.faults.cut();
    await until(() => resumed === 2 * shards);
    await more(100);
    simulator.traffic.stop();
    await until(() => [...emitted].every(([stream, n]) => stream === interactionStream || last.get(stream) === n));
    expect(wrong).toEqual([]);
    expect(readies()).toBe(shards);
    expect(simulator.stats.identifyViolations).toBe(0);
    await manager.destroy();
  });
});
