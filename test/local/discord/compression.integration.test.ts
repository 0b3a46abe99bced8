import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { constants, createInflate } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createEncoder } from '../../../local/discord/frame-encoder.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import type { Guild } from '../../../local/discord/world.ts';
import { identified } from './gateway-client.ts';

let simulator: DiscordSimulator;
beforeEach(async () => {
  simulator = await startSimulator({ shards: 1, guildsPerShard: 3, identifyIntervalMs: 0 });
});
afterEach(() => simulator.stop());

/** Sends the same events to clients of every transport and returns what each made of them. */
async function compare(...transports: (undefined | 'zlib-stream' | 'zstd-stream')[]) {
  const clients = [];
  for (const compress of transports) {
    const { client } = await identified(simulator, [0, 1], compress ? { compress } : {});
    await client.frame(() => client.frames.filter(({ t }) => t === 'GUILD_CREATE').length === 3);
    clients.push(client);
  }
  const guild = simulator.world.guilds[0] as Guild;
  for (let i = 0; i < 200; i += 1) simulator.traffic.send('MESSAGE_CREATE', guild);
  for (const client of clients) {
    await client.frame(() => client.frames.filter(({ t }) => t === 'MESSAGE_CREATE').length === 200);
  }
  return clients;
}

test('both transports carry exactly what plain text does, one message a frame', async () => {
  const [plain, zlib, zstd] = await compare(undefined, 'zlib-stream', 'zstd-stream');
  const messages = (client: typeof plain) => client?.frames.filter(({ t }) => t === 'MESSAGE_CREATE');
  expect(messages(zlib)).toEqual(messages(plain));
  expect(messages(zstd)).toEqual(messages(plain));
  for (const client of [zlib, zstd]) {
    expect(client?.messages).toHaveLength(client?.frames.length as number);
    expect(client?.messages.every(({ isBinary }) => isBinary)).toBe(true);
  }
  expect(plain?.messages.some(({ isBinary }) => isBinary)).toBe(false);
});

test('zlib-stream: one context, each message ends with the flush marker, only the first has a header', async () => {
  const [zlib] = await compare('zlib-stream');
  const messages = zlib?.messages.map(({ data }) => data) as Buffer[];
  for (const data of messages) expect(data.subarray(-4).toString('hex')).toBe('0000ffff');
  const hasHeader = (data: Buffer) => data[0] === 0x78 && data.readUInt16BE(0) % 31 === 0;
  expect(hasHeader(messages[0] as Buffer)).toBe(true);
  const plain = zlib?.frames.reduce((sum, frame) => sum + JSON.stringify(frame).length, 0) as number;
  const packed = messages.reduce((sum, data) => sum + data.length, 0);
  expect(packed).toBeLessThan(plain / 2);
});

test('payload compression: large frames stand for themselves, small ones are text', async () => {
  const { client } = await identified(simulator, [0, 1], { changes: { compress: true } });
  await client.frame(() => client.frames.filter(({ t }) => t === 'GUILD_CREATE').length === 3);
  await client.settle();
  const kinds = client.frames.map(({ op, t }, i) => `${t ?? op} ${client.messages[i]?.isBinary}`);
  expect(kinds).toContain('GUILD_CREATE true');
  expect(kinds).toContain('11 false');
});

describe('against a recorded connection', () => {
  const capture = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../../local/discord/corpus/_zlib-stream-capture.json'), 'utf8'),
  ) as { frames_base64: string[]; plaintext: string[] };

  async function inflate(messages: Buffer[]): Promise<string[]> {
    const stream = createInflate({ flush: constants.Z_SYNC_FLUSH });
    const texts: string[] = [];
    for (const message of messages) {
      const chunks: Buffer[] = [];
      const collect = (chunk: Buffer) => chunks.push(chunk);
      stream.on('data', collect);
      await new Promise<void>((resolve, reject) => {
        stream.once('error', reject);
        stream.write(message, () => resolve());
      });
      stream.off('data', collect);
      texts.push(Buffer.concat(chunks).toString());
    }
    return texts;
  }

  test('the same reader takes Discord’s frames and ours', async () => {
    const texts = await inflate(capture.frames_base64.map((frame) => Buffer.from(frame, 'base64')));
    expect(texts).toEqual(capture.plaintext);
    const encoder = createEncoder('zlib-stream');
    expect(await inflate(texts.map((text) => encoder.encode(Buffer.from(text)).data))).toEqual(texts);
    encoder.close();
  });
});
