import { type Corpus, loadCorpus } from '../local/discord/corpus.ts';
import { EventFactory } from '../local/discord/event-factory.ts';
import { createEncoder } from '../local/discord/frame-encoder.ts';
import { dispatchFrame, helloFrame } from '../local/discord/gateway-frames.ts';
import { type Guild, World } from '../local/discord/world.ts';
import { systemClock } from '../shared/clock.ts';
import type { GatewayCompression } from '../shared/config.ts';
import { type Random, randomBelow, seededRandom } from '../shared/random.ts';

/**
 * What a tape holds. `small`: deletions, reactions taken back, votes; `corpus`: the types in the proportions of a bot without
 * privileged intents; `message`: MESSAGE_CREATE of 500 to 900 bytes alone; `large`: whole guilds and long messages.
 */
export const mixes = ['small', 'corpus', 'message', 'large'] as const;
export type Mix = (typeof mixes)[number];

/** One connection's whole stream, made once: every WebSocket frame that the server sends, back to back. */
export interface TrafficTape {
  readonly hello: Buffer;
  /** READY and the guilds, to be sent after IDENTIFY. */
  readonly session: Buffer;
  readonly events: Buffer;
  /** Where in `events` each event ends. */
  readonly ends: Uint32Array;
  /** `s` of the first event. */
  readonly firstSeq: number;
  /** Mean size of an event's JSON. */
  readonly plainBytesPerEvent: number;
}

/** No connection lives long enough to owe an acknowledgement, which a stream that was compressed beforehand cannot hold. */
const heartbeatIntervalMs = 600_000;
const guilds = 8;

/** Makes the stream of `count` events. The same arguments give the same events. */
export function makeTape(mix: Mix, compress: GatewayCompression, count: number, resumeGatewayUrl: string): TrafficTape {
  const random = seededRandom(7);
  const corpus = loadCorpus();
  const world = new World({ shards: 1, guildsPerShard: guilds, membersPerGuild: 40 }, corpus, systemClock, random);
  const factory = new EventFactory({ corpus, world, clock: systemClock, random });
  const encoder = createEncoder(compress);
  const frame = (json: Buffer) => {
    const { data, binary } = encoder.encode(json);
    return webSocketFrame(data, binary);
  };
  const hello = frame(helloFrame(heartbeatIntervalMs));
  const ready = world.ready({ id: 'bench-session', shard: { shardId: 0, shardCount: 1 }, resumeGatewayUrl });
  const session = [frame(dispatchFrame('READY', 1, ready))];
  for (const guild of world.guilds) {
    session.push(frame(dispatchFrame('GUILD_CREATE', session.length + 1, world.guildCreate(guild, 0))));
  }
  const firstSeq = session.length + 1;
  const pickType = typePicker(mix, corpus, factory, random);
  const makeEvent = (guild: Guild | undefined, index: number): Buffer => {
    const { type, body } = factory.make(pickType(), guild);
    // What guilds say of themselves stays true.
    return dispatchFrame(type, firstSeq + index, type.startsWith('GUILD_') ? body : varied(body, random));
  };
  const frames: Buffer[] = [];
  const ends = new Uint32Array(count);
  let bytes = 0;
  let plainBytes = 0;
  for (let index = 0; index < count; index += 1) {
    const guild = world.guilds[randomBelow(random, guilds)];
    let json = makeEvent(guild, index);
    while (!fits(mix, json)) json = makeEvent(guild, index);
    const event = frame(json);
    frames.push(event);
    plainBytes += json.length;
    bytes += event.length;
    ends[index] = bytes;
  }
  encoder.close();
  const events = Buffer.concat(frames);
  return { hello, session: Buffer.concat(session), events, ends, firstSeq, plainBytesPerEvent: plainBytes / count };
}

function fits(mix: Mix, json: Buffer): boolean {
  return mix !== 'message' || (json.length >= 500 && json.length <= 900);
}

/** The dispatches alone, as JSON. */
export function tapeFrames(mix: Mix, count: number): Buffer[] {
  const { events, ends } = makeTape(mix, 'none', count, 'ws://127.0.0.1');
  let start = 0;
  return Array.from(ends, (end) => {
    // Without the head of the WebSocket frame.
    const frame = events.subarray(events.indexOf('{"t":', start), end);
    start = end;
    return frame;
  });
}

const weights: Readonly<Record<Exclude<Mix, 'corpus'>, Readonly<Record<string, number>>>> = {
  small: { MESSAGE_DELETE: 4, MESSAGE_REACTION_REMOVE: 3, MESSAGE_POLL_VOTE_ADD: 2, CHANNEL_PINS_UPDATE: 1 },
  message: { MESSAGE_CREATE: 1 },
  large: { GUILD_CREATE: 1, GUILD_UPDATE: 1, MESSAGE_CREATE: 2 },
};

function typePicker(mix: Mix, corpus: Corpus, factory: EventFactory, random: Random): () => string {
  const all = mix === 'corpus' ? corpus.mixes.no_privileged : weights[mix];
  // Whoever changes channels and roles changes the world; a tape plays on guilds that stay as they are.
  const kept = Object.entries(all).filter(
    ([type]) => factory.makesInGuild(type) && !/^(GUILD_DELETE|CHANNEL_|THREAD_|GUILD_ROLE_)/.test(type),
  );
  const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
  return () => {
    let rest = random.next() * total;
    for (const [type, weight] of kept) {
      rest -= weight;
      if (rest < 0) return type;
    }
    return (kept[0] as [string, number])[0];
  };
}

const words = (
  'the of and to in is you that it he was for on are with as his they be at one have this from or had by hot but some what ' +
  'there we can out other were all your when up use word how said an each she which do their time if will way about many ' +
  'then them would write like so these her long make thing see him two has look more day could go come did my sound no most ' +
  'number who over know water than call first people may down side been now find any new work part take get place made live'
).split(' ');

/**
 * The corpus has few examples, and a compressor would simply find the last copy of each. So everything that differs from one real
 * event to the next is drawn anew: ids, avatars, names, times and texts.
 */
function varied(body: string, random: Random): string {
  return body
    .replaceAll(/"(?!guild_id)(\w+)":"\d{17,20}"/g, (_, key) => `"${key}":"${snowflake(random)}"`)
    .replaceAll(/"[0-9a-f]{32}"/g, () => `"${hex(random, 32)}"`)
    .replaceAll(
      /"(username|global_name|nick)":"[^"\\]*"/g,
      (_, key) => `"${key}":"${word(random)}${randomBelow(random, 10_000)}"`,
    )
    .replaceAll(/:\d\d\.\d{6}\+/g, () => `:${10 + randomBelow(random, 50)}.${100_000 + randomBelow(random, 900_000)}+`)
    .replace(/"content":"[^"\\]*"/, () => {
      const length = 3 + randomBelow(random, 30);
      return `"content":"${Array.from({ length }, () => word(random)).join(' ')}"`;
    });
}

function word(random: Random): string {
  return words[randomBelow(random, words.length)] as string;
}

function snowflake(random: Random): string {
  return `${1 + randomBelow(random, 9)}${String(randomBelow(random, 1e9)).padStart(9, '0')}${String(randomBelow(random, 1e8)).padStart(8, '0')}`;
}

function hex(random: Random, digits: number): string {
  let text = '';
  while (text.length < digits)
    text += randomBelow(random, 2 ** 32)
      .toString(16)
      .padStart(8, '0');
  return text;
}

/** A whole, unmasked message as a server sends it (RFC 6455, section 5.2). */
export function webSocketFrame(data: Buffer, binary: boolean): Buffer {
  const { length } = data;
  const head = length < 126 ? Buffer.alloc(2) : length < 65_536 ? Buffer.alloc(4) : Buffer.alloc(10);
  head[0] = 0x80 | (binary ? 2 : 1);
  if (length < 126) head[1] = length;
  else if (length < 65_536) {
    head[1] = 126;
    head.writeUInt16BE(length, 2);
  } else {
    head[1] = 127;
    head.writeBigUInt64BE(BigInt(length), 2);
  }
  return Buffer.concat([head, data]);
}
