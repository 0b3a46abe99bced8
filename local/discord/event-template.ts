import { type CorpusItem, escapeNonAscii, type JsonObject } from './corpus.ts';

/** What is filled in anew for each event. */
export interface TemplateValues {
  guild: string;
  /** The channel the event is about. */
  channel: string;
  /** A fresh id. */
  fresh: string;
  /** A message that exists already. */
  recent: string;
  /** ISO time of the event. */
  time: string;
}
type Slot = keyof TemplateValues;

/**
 * A payload of the corpus, turned into text with gaps once, so that an event costs a few concatenations
 * instead of a JSON.stringify.
 */
export class EventTemplate {
  readonly #texts: readonly string[];
  readonly #slots: readonly Slot[];

  constructor(item: CorpusItem, type: string) {
    const json = JSON.stringify(withGaps(item.d, type));
    const pieces = (item.escaped ? escapeNonAscii(json) : json).split(/@@(\w+)@@/);
    this.#texts = pieces.filter((_, i) => i % 2 === 0);
    this.#slots = pieces.filter((_, i) => i % 2 === 1) as Slot[];
  }

  fill(values: TemplateValues): string {
    let text = this.#texts[0] as string;
    for (let i = 0; i < this.#slots.length; i++) {
      text += values[this.#slots[i] as Slot] + (this.#texts[i + 1] as string);
    }
    return text;
  }
}

/** Events whose own `id` is that of a message made now, and of one that exists. */
const makesMessage = new Set(['MESSAGE_CREATE']);
const namesMessage = new Set(['MESSAGE_UPDATE', 'MESSAGE_DELETE']);
const namesVoiceChannel = new Set(['VOICE_CHANNEL_STATUS_UPDATE', 'VOICE_CHANNEL_START_TIME_UPDATE']);

function withGaps(d: JsonObject, type: string): unknown {
  const result = replaceIds(d) as JsonObject;
  if (makesMessage.has(type)) {
    result.id = '@@fresh@@';
    result.timestamp = '@@time@@';
  } else if (namesMessage.has(type)) {
    result.id = '@@recent@@';
  } else if (namesVoiceChannel.has(type)) {
    result.id = '@@channel@@';
  }
  return result;
}

const gapOfKey: Readonly<Record<string, string>> = {
  guild_id: '@@guild@@',
  channel_id: '@@channel@@',
  message_id: '@@recent@@',
};

/** Ids of guilds, channels and messages become gaps wherever they stand; null stays (left a voice channel). */
function replaceIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(replaceIds);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const gap = gapOfKey[key];
      return [key, gap && typeof inner === 'string' ? gap : replaceIds(inner)];
    }),
  );
}

const contentKeys: Readonly<JsonObject> = { content: '', embeds: [], attachments: [], components: [] };

/**
 * What an app without MESSAGE_CONTENT sees of a message: empty content fields and no poll. `undefined` where it sees
 * the same: in DMs, in its own messages, and where it is mentioned.
 */
export function withoutContent({ d, escaped }: CorpusItem, botUserId: string): CorpusItem | undefined {
  const author = d.author as { id?: string } | undefined;
  const mentions = (d.mentions ?? []) as { id?: string }[];
  if (d.guild_id === undefined || author?.id === botUserId || mentions.some(({ id }) => id === botUserId)) {
    return undefined;
  }
  const { poll, ...rest } = d;
  const hidden = Object.keys(contentKeys).some(
    (key) => key in d && JSON.stringify(d[key]) !== JSON.stringify(contentKeys[key]),
  );
  if (!hidden && poll === undefined) return undefined;
  return {
    d: Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, contentKeys[key] ?? value])),
    escaped,
  };
}
