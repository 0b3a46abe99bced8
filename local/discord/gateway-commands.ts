import type { z } from 'zod';
import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import {
  presenceUpdateSchema,
  requestChannelInfoSchema,
  requestGuildMembersSchema,
  requestSoundboardSoundsSchema,
  voiceStateUpdateSchema,
} from './client-payloads.ts';
import { intentBits, receives } from './intents.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { Guild, World } from './world.ts';

/** A full member list may be asked for once in this time per guild (Discord, change-log of 2025-08-14). */
const fullMemberListEveryMs = 30_000;
const membersPerChunk = 1000;
const membersPerQuery = 100;
const maxNonceBytes = 32;

/** Answers the commands that a client may send once it is identified: ops 3, 4, 8, 31 and 43. */
export class GatewayCommands {
  readonly #world: World;
  readonly #sessions: Sessions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #fullListAtMs = new Map<string, number>();

  constructor(deps: { world: World; sessions: Sessions; clock: Clock; random: Random }) {
    this.#world = deps.world;
    this.#sessions = deps.sessions;
    this.#clock = deps.clock;
    this.#random = deps.random;
  }

  /** Carries out op `op`; says what is wrong with it, when something is. */
  run(session: Session, op: number, d: unknown): 'done' | 'unknownOp' | 'invalidPayload' {
    switch (op) {
      case 3:
        return this.#with(presenceUpdateSchema, d, (presence) => {
          session.presence = presence;
        });
      case 4:
        return this.#with(voiceStateUpdateSchema, d, (update) => this.#updateVoiceState(session, update));
      case 8:
        return this.#with(requestGuildMembersSchema, d, (request) => this.#sendMembers(session, request));
      case 31:
        return this.#with(requestSoundboardSoundsSchema, d, ({ guild_ids }) => {
          for (const id of guild_ids) {
            const guild = this.#guildOf(session, id);
            if (guild) this.#sessions.send(session, 'SOUNDBOARD_SOUNDS', { soundboard_sounds: [], guild_id: guild.id });
          }
        });
      case 43:
        return this.#with(requestChannelInfoSchema, d, ({ guild_id, fields }) => {
          const guild = this.#guildOf(session, guild_id);
          if (!guild) return;
          const channel = {
            id: guild.voiceChannelId,
            ...(fields.includes('status') && { status: null }),
            ...(fields.includes('voice_start_time') && { voice_start_time: null }),
          };
          this.#sessions.send(session, 'CHANNEL_INFO', { guild_id: guild.id, channels: [channel] });
        });
      default:
        return 'unknownOp';
    }
  }

  #with<Schema extends z.ZodType>(schema: Schema, d: unknown, run: (value: z.infer<Schema>) => void) {
    const parsed = schema.safeParse(d);
    if (!parsed.success) return 'invalidPayload';
    run(parsed.data);
    return 'done';
  }

  /** The guild, if it is one of this session's: commands for others are ignored. */
  #guildOf(session: Session, guildId: string): Guild | undefined {
    const guild = this.#world.guild(guildId);
    const { shardId, shardCount } = session.shard ?? { shardId: 0, shardCount: 1 };
    return guild && guild.routingNumber % shardCount === shardId ? guild : undefined;
  }

  #updateVoiceState(session: Session, update: z.infer<typeof voiceStateUpdateSchema>): void {
    const guild = this.#guildOf(session, update.guild_id);
    if (!guild) return;
    const { botUser } = this.#world;
    const state = {
      user_id: botUser.id,
      channel_id: update.channel_id,
      session_id: this.#random.uuid().replaceAll('-', ''),
      deaf: false,
      mute: false,
      self_deaf: update.self_deaf,
      self_mute: update.self_mute,
      self_video: false,
      suppress: false,
      request_to_speak_timestamp: null,
    };
    if (update.channel_id === null) guild.voiceStates.delete(botUser.id);
    else guild.voiceStates.set(botUser.id, state);
    if (receives(session.intents, intentBits.GUILD_VOICE_STATES)) {
      this.#sessions.send(session, 'VOICE_STATE_UPDATE', { ...state, member: guild.members[0], guild_id: guild.id });
    }
    if (update.channel_id !== null) {
      this.#sessions.send(session, 'VOICE_SERVER_UPDATE', {
        token: this.#random.uuid().replaceAll('-', '').slice(0, 16),
        guild_id: guild.id,
        endpoint: 'voice.invalid:443',
      });
    }
  }

  #sendMembers(session: Session, request: z.infer<typeof requestGuildMembersSchema>): void {
    const guild = this.#guildOf(session, request.guild_id);
    if (!guild) return;
    const nonce =
      request.nonce !== undefined && Buffer.byteLength(request.nonce) <= maxNonceBytes ? request.nonce : undefined;
    const everybody = request.query === '' && (request.limit ?? 0) === 0;
    if (everybody) {
      const nowMs = this.#clock.monotonicMs();
      const waitMs = (this.#fullListAtMs.get(guild.id) ?? Number.NEGATIVE_INFINITY) + fullMemberListEveryMs - nowMs;
      if (waitMs > 0) {
        const meta = { guild_id: guild.id, ...(nonce !== undefined && { nonce }) };
        this.#sessions.send(session, 'RATE_LIMITED', { opcode: 8, retry_after: waitMs / 1000, meta });
        return;
      }
      // Without the intent Discord does not give the full list.
      if (!(session.intents & intentBits.GUILD_MEMBERS)) return;
      this.#fullListAtMs.set(guild.id, nowMs);
    }
    const members = everybody ? guild.members : this.#find(guild, request);
    const notFound = request.user_ids?.filter((id) => !guild.members.some(({ user }) => user.id === id));
    const presences = request.presences === true && (session.intents & intentBits.GUILD_PRESENCES) !== 0;
    const chunkCount = Math.max(1, Math.ceil(members.length / membersPerChunk));
    for (let i = 0; i < chunkCount; i++) {
      const part = members.slice(i * membersPerChunk, (i + 1) * membersPerChunk);
      this.#sessions.send(session, 'GUILD_MEMBERS_CHUNK', {
        guild_id: guild.id,
        members: part,
        chunk_index: i,
        chunk_count: chunkCount,
        // Ids too small to be snowflakes come back as numbers (Discord, "Reference", ID Serialization).
        ...(notFound && { not_found: notFound.map((id) => (id.length < 16 ? Number(id) : id)) }),
        ...(presences && {
          presences: part.map(({ user }) => ({
            user: { id: user.id },
            status: 'online',
            client_status: {},
            activities: [],
            guild_id: guild.id,
          })),
        }),
        ...(nonce !== undefined && { nonce }),
      });
    }
  }

  #find(guild: Guild, { query, limit, user_ids }: z.infer<typeof requestGuildMembersSchema>) {
    if (user_ids) return guild.members.filter(({ user }) => user_ids.includes(user.id));
    const prefix = (query ?? '').toLowerCase();
    return guild.members
      .filter(({ user }) => String(user.username).toLowerCase().startsWith(prefix))
      .slice(0, Math.min(limit || membersPerQuery, membersPerQuery));
  }
}
