import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';
import type { FunctionsConfig } from '../../shared/config.ts';
import type { EnvelopeHeader } from '../../shared/envelope.ts';
import {
  type DirectoryEntities,
  directoryEventTypes,
  memberCountEventTypes,
} from '../../shared/directory/directory-options.ts';
import { DirectoryWriter, type FoldTotals } from '../../shared/directory/directory-writer.ts';
import type { GuildEvent } from '../../shared/directory/guild-state.ts';
import { SessionNumbers } from '../../shared/directory/session-numbers.ts';
import { streamPosition } from '../../shared/directory/stream-position.ts';
import { type ShardKey, shardKey } from '../../shared/sharding.ts';

/** An event of the queue, as the directory wants it. */
export interface DirectoryEvent {
  readonly type: string;
  readonly seq: number;
  /** The dispatch's `d`. */
  readonly data: unknown;
  readonly header: Pick<EnvelopeHeader, 'shard' | 'session'>;
  /** Put back from the dead letters: long after its neighbours. */
  readonly redriven: boolean;
}

/**
 * The events function's way into the directory: the events of one guild, in order, before the guild's handlers see
 * them. Events may come again at any time.
 */
export class DirectoryFold {
  readonly #writer: Pick<DirectoryWriter, 'fold'>;
  readonly #sessions: Pick<SessionNumbers, 'numberOf'>;
  readonly #types: ReadonlySet<string>;

  constructor(
    entities: DirectoryEntities,
    ports: { readonly writer: Pick<DirectoryWriter, 'fold'>; readonly sessions: Pick<SessionNumbers, 'numberOf'> },
  ) {
    this.#writer = ports.writer;
    this.#sessions = ports.sessions;
    this.#types = new Set([...directoryEventTypes(entities), ...(entities.size > 0 ? memberCountEventTypes : [])]);
  }

  /** Whether the directory changes with events of this type. */
  takes(type: string): boolean {
    return this.#types.has(type);
  }

  /** Folds events of a guild that it takes. Rejects when the table gave no answer: then they must come again. */
  async fold(guildId: string, events: readonly DirectoryEvent[]): Promise<FoldTotals> {
    const positioned: GuildEvent[] = [];
    const passedOver: FoldTotals = { folded: 0, stale: 0, unknownGuild: 0, invalid: 0 };
    for (const { type, seq, data, header, redriven } of events) {
      const shard = keyOf(header);
      const number = await this.#sessions.numberOf(shard, header.session, { mayBegin: !redriven });
      if (number === undefined) passedOver.stale += 1;
      else positioned.push({ type, guildId, shard, position: streamPosition(number, seq), data });
    }
    if (positioned.length === 0) return passedOver;
    const totals = await this.#writer.fold(guildId, positioned);
    return { ...totals, stale: totals.stale + passedOver.stale };
  }
}

function keyOf({ shard: [shardId, shardCount] }: Pick<EnvelopeHeader, 'shard'>): ShardKey {
  return shardKey({ shardId, shardCount });
}

/** The fold over the directory table. */
export function createDirectoryFold(
  { directoryTable: table, directoryEntities: entities }: Pick<FunctionsConfig, 'directoryTable' | 'directoryEntities'>,
  { documents, clock }: { readonly documents: DynamoDBDocumentClient; readonly clock: Clock },
): DirectoryFold {
  return new DirectoryFold(entities, {
    writer: new DirectoryWriter({ documents, table, clock, entities }),
    sessions: new SessionNumbers(documents, table),
  });
}
