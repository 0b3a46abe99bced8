import { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import type { JsonObject } from './corpus.ts';
import {
  alreadyAcknowledged,
  invalidForm,
  invalidWebhookToken,
  type RestAnswer,
  unknownInteraction,
  unknownMessage,
  unknownWebhook,
} from './rest-answers.ts';
import type { World } from './world.ts';

/** One call of a handler about an interaction. */
export interface InteractionAnswer {
  readonly kind:
    | 'callback'
    | 'endpointAnswer'
    | 'followUp'
    | 'editOriginal'
    | 'editFollowUp'
    | 'deleteOriginal'
    | 'deleteFollowUp';
  /** Callback type, for `callback` and `endpointAnswer`. */
  readonly type: number | undefined;
  /** Unix milliseconds. */
  readonly atMs: number;
  /** From the emission of the event to this call. */
  readonly afterMs: number;
  readonly status: number;
  readonly content: string | undefined;
}

/** What became of one interaction. */
export interface InteractionRecord {
  readonly id: string;
  readonly token: string;
  /** 2 command, 3 component, 4 autocomplete, 5 modal submit. */
  readonly type: number;
  readonly command: string;
  readonly guildId: string | undefined;
  readonly channelId: string;
  readonly emittedAtMs: number;
  readonly answers: InteractionAnswer[];
  /** From emission to the accepted callback; `undefined` while there is none. */
  readonly callbackAfterMs: number | undefined;
}

/** Totals over all interactions so far. */
export interface InteractionTotals {
  readonly emitted: number;
  /** With an accepted first answer. */
  readonly answered: number;
  /** First answers that came after the deadline. */
  readonly late: number;
  /** First answers for what had been acknowledged before. */
  readonly acknowledgedTwice: number;
}

type Acknowledgement =
  | { readonly kind: 'none' }
  /** `loading`: deferred, and the message is still the loading one. */
  | { readonly kind: 'done'; readonly callbackType: number; loading: boolean };

class Interaction implements InteractionRecord {
  readonly id: string;
  readonly token: string;
  readonly type: number;
  readonly command: string;
  readonly guildId: string | undefined;
  readonly channelId: string;
  readonly emittedAtMs: number;
  readonly startedMs: number;
  readonly answers: InteractionAnswer[] = [];
  readonly messages = new Map<string, JsonObject>();
  acknowledgement: Acknowledgement = { kind: 'none' };
  originalId: string | undefined;
  callbackAfterMs: number | undefined;

  constructor(start: Omit<InteractionRecord, 'answers' | 'callbackAfterMs'>, startedMs: number) {
    this.id = start.id;
    this.token = start.token;
    this.type = start.type;
    this.command = start.command;
    this.guildId = start.guildId;
    this.channelId = start.channelId;
    this.emittedAtMs = start.emittedAtMs;
    this.startedMs = startedMs;
  }
}

/** Callback types allowed for an interaction type (Discord, "Receiving and Responding"). */
const allowedCallbacks: Readonly<Record<number, readonly number[]>> = {
  2: [4, 5, 9, 10, 12],
  3: [4, 5, 6, 7, 9, 10, 12],
  4: [8],
  5: [4, 5, 6, 7, 10, 12],
};

const ephemeral = 64;
const loading = 128;

const messageSchema = z.looseObject({
  content: z.string().max(2000).nullish(),
  embeds: z.array(z.looseObject({})).max(10).nullish(),
  components: z.array(z.looseObject({})).nullish(),
  flags: z.int().nullish(),
});
type MessageData = z.infer<typeof messageSchema>;

const callbackSchema = z.looseObject({ type: z.int(), data: z.looseObject({}).nullish() });

/** Interactions kept; older ones count in the totals only. */
const keptInteractions = 20_000;

/** Every interaction sent, and the answers to it: deadlines, tokens, the messages that answers made. */
export class Interactions {
  readonly #options: { readonly interactionDeadlineMs: number; readonly interactionTokenMs: number };
  readonly #world: World;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #byId = new Map<string, Interaction>();
  readonly #byToken = new Map<string, Interaction>();
  readonly #totals = { emitted: 0, answered: 0, late: 0, acknowledgedTwice: 0 };

  constructor(deps: {
    options: { readonly interactionDeadlineMs: number; readonly interactionTokenMs: number };
    world: World;
    clock: Clock;
    random: Random;
  }) {
    this.#options = deps.options;
    this.#world = deps.world;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  get totals(): InteractionTotals {
    return { ...this.#totals };
  }

  /** The interactions of this run, oldest first (the newest 20,000). */
  records(): Iterable<InteractionRecord> {
    return this.#byId.values();
  }

  record(id: string): InteractionRecord | undefined {
    return this.#byId.get(id);
  }

  /** Registers an interaction that is about to be sent, with a fresh id and token. */
  open(start: { type: number; command: string; guildId: string | undefined; channelId: string }): InteractionRecord {
    const id = this.#world.snowflakes.next();
    const secret = Array.from({ length: 4 }, () => this.#random.uuid().replaceAll('-', '')).join('');
    const token = Buffer.from(`interaction:${id}:${secret}`).toString('base64url');
    const interaction = new Interaction(
      { ...start, id, token, emittedAtMs: this.#clock.wallClockMs() },
      this.#clock.monotonicMs(),
    );
    this.#byId.set(id, interaction);
    this.#byToken.set(token, interaction);
    this.#totals.emitted += 1;
    if (this.#byId.size > keptInteractions) {
      const [oldest] = this.#byId.values();
      this.#byId.delete((oldest as Interaction).id);
      this.#byToken.delete((oldest as Interaction).token);
    }
    return interaction;
  }

  /** `POST /interactions/{id}/{token}/callback`. */
  callback(id: string, token: string, body: unknown, withResponse: boolean): RestAnswer {
    const interaction = this.#byId.get(id);
    if (!interaction || interaction.token !== token) return unknownInteraction;
    const parsed = callbackSchema.safeParse(body);
    const type = parsed.data?.type;
    const data = messageSchema.safeParse(parsed.data?.data ?? {});
    const answer = this.#acknowledge(interaction, type, data);
    this.#note(interaction, 'callback', type, answer.status, data.data);
    if (answer.status !== 204 || !withResponse) return answer;
    const message = interaction.originalId && interaction.messages.get(interaction.originalId);
    return {
      status: 200,
      body: {
        interaction: {
          id,
          type: interaction.type,
          ...(message && {
            response_message_id: interaction.originalId,
            response_message_loading: type === 5,
            response_message_ephemeral: (Number(message.flags) & ephemeral) !== 0,
          }),
        },
        ...((type === 4 || type === 7) && { resource: { type, message } }),
      },
    };
  }

  /** What the interactions endpoint answered in its response. */
  endpointAnswer(id: string, body: unknown): RestAnswer {
    const interaction = this.#byId.get(id);
    if (!interaction) return unknownInteraction;
    const type = callbackSchema.safeParse(body).data?.type;
    const data = messageSchema.safeParse((body as { data?: unknown } | undefined)?.data ?? {});
    const answer = this.#acknowledge(interaction, type, data);
    this.#note(interaction, 'endpointAnswer', type, answer.status, data.data);
    return answer;
  }

  /** `POST /webhooks/{app}/{token}`: a follow-up message; right after a deferral it takes the place of the loading one. */
  followUp(applicationId: string, token: string, body: unknown): RestAnswer {
    const found = this.#webhook(applicationId, token);
    if ('status' in found) return found;
    const data = messageSchema.safeParse(body);
    const { acknowledgement } = found;
    const replacesLoading = acknowledgement.kind === 'done' && acknowledgement.loading;
    const answer: RestAnswer = !data.success
      ? invalidForm('content', 'Invalid message.')
      : replacesLoading
        ? this.#edit(found, found.originalId as string, data.data)
        : { status: 200, body: this.#addMessage(found, data.data, 0) };
    this.#note(found, 'followUp', undefined, answer.status, data.data);
    return answer;
  }

  /** `GET`, `PATCH` and `DELETE /webhooks/{app}/{token}/messages/{id}`; `@original` names the first answer. */
  message(method: string, applicationId: string, token: string, messageId: string, body: unknown): RestAnswer {
    const found = this.#webhook(applicationId, token);
    if ('status' in found) return found;
    const original = messageId === '@original' || messageId === found.originalId;
    const id = original ? found.originalId : messageId;
    const message = id === undefined ? undefined : found.messages.get(id);
    if (id === undefined || !message) return unknownMessage;
    if (method === 'GET') return { status: 200, body: message };
    if (method === 'DELETE') {
      found.messages.delete(id);
      if (original && found.acknowledgement.kind === 'done') found.acknowledgement.loading = false;
      this.#note(found, original ? 'deleteOriginal' : 'deleteFollowUp', undefined, 204, undefined);
      return { status: 204 };
    }
    const data = messageSchema.safeParse(body);
    const answer = data.success ? this.#edit(found, id, data.data) : invalidForm('content', 'Invalid message.');
    this.#note(found, original ? 'editOriginal' : 'editFollowUp', undefined, answer.status, data.data);
    return answer;
  }

  #acknowledge(
    interaction: Interaction,
    type: number | undefined,
    data: z.ZodSafeParseResult<MessageData>,
  ): RestAnswer {
    if (type === undefined || !allowedCallbacks[interaction.type]?.includes(type)) {
      return invalidForm('type', 'This interaction cannot be answered with that type.');
    }
    if (!data.success) return invalidForm('data', 'Invalid message.');
    if (interaction.acknowledgement.kind === 'done') {
      this.#totals.acknowledgedTwice += 1;
      return alreadyAcknowledged;
    }
    const afterMs = this.#clock.monotonicMs() - interaction.startedMs;
    if (afterMs > this.#options.interactionDeadlineMs) {
      this.#totals.late += 1;
      return unknownInteraction;
    }
    this.#totals.answered += 1;
    interaction.callbackAfterMs = afterMs;
    interaction.acknowledgement = { kind: 'done', callbackType: type, loading: type === 5 };
    if (type === 4 || type === 5) {
      const message = this.#addMessage(interaction, data.data, type === 5 ? loading : 0);
      interaction.originalId = message.id as string;
    }
    return { status: 204 };
  }

  /** The interaction behind a webhook token, or what is wrong with it. */
  #webhook(applicationId: string, token: string): Interaction | RestAnswer {
    const interaction = this.#byToken.get(token);
    if (!interaction || applicationId !== this.#world.applicationId) return invalidWebhookToken;
    const afterMs = this.#clock.monotonicMs() - interaction.startedMs;
    if (afterMs > this.#options.interactionTokenMs) return invalidWebhookToken;
    return interaction.acknowledgement.kind === 'none' ? unknownWebhook : interaction;
  }

  #addMessage(interaction: Interaction, data: MessageData, extraFlags: number): JsonObject {
    const message: JsonObject = {
      ...this.#world.message(interaction.channelId, data),
      flags: (data.flags ?? 0) | extraFlags,
      type: interaction.messages.size === 0 ? 20 : 0,
      webhook_id: this.#world.applicationId,
      application_id: this.#world.applicationId,
      interaction_metadata: { id: interaction.id, type: interaction.type },
    };
    interaction.messages.set(message.id as string, message);
    return message;
  }

  #edit(interaction: Interaction, messageId: string, data: MessageData): RestAnswer {
    const before = interaction.messages.get(messageId);
    if (!before) return unknownMessage;
    const message: JsonObject = {
      ...before,
      ...Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined)),
      flags: Number(before.flags) & ~loading,
      edited_timestamp: new Date(this.#clock.wallClockMs()).toISOString(),
    };
    interaction.messages.set(messageId, message);
    if (interaction.acknowledgement.kind === 'done' && messageId === interaction.originalId) {
      interaction.acknowledgement.loading = false;
    }
    return { status: 200, body: message };
  }

  #note(
    interaction: Interaction,
    kind: InteractionAnswer['kind'],
    type: number | undefined,
    status: number,
    data: MessageData | undefined,
  ): void {
    interaction.answers.push({
      kind,
      type,
      atMs: this.#clock.wallClockMs(),
      afterMs: this.#clock.monotonicMs() - interaction.startedMs,
      status,
      content: data?.content ?? undefined,
    });
  }
}
