import { API } from '@discordjs/core';
import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Context } from 'aws-lambda';
import type { Clock } from '../../shared/clock.ts';
import type { DirectoryConfig } from '../../shared/config.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { Directory } from '../../shared/directory/directory.ts';
import { DirectoryReader } from '../../shared/directory/directory-reader.ts';
import { DirectoryWriter } from '../../shared/directory/directory-writer.ts';
import { SessionNumbers } from '../../shared/directory/session-numbers.ts';
import { createDiscordRest } from '../../shared/discord-rest.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { connectHandlerFleet, type HandlerFleet } from '../kit/handler-fleet.ts';
import { type PreloadTotals, preloadDirectory } from './directory-preload.ts';
import { type SweepTotals, sweepDirectory } from './directory-sweep.ts';

export interface DirectoryHandlerDeps {
  readonly config: DirectoryConfig;
  readonly documents: DynamoDBDocumentClient;
  /** @default a client of its own */
  readonly sqs?: SQSClient;
  readonly store: Pick<CoordinationStore, 'readFleet' | 'readRoster'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a round did. */
export interface DirectoryRound {
  readonly swept: SweepTotals;
  readonly preloaded: PreloadTotals;
}

/** The Lambda of the directory's schedule. */
export type DirectoryHandler = (
  event: unknown,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<DirectoryRound>;

/** Kept at the end of an invocation for the guild that is under way. */
const stopMarginMs = 8000;

/**
 * Compares what the directory holds with what the shards' sessions began with, and fetches what it was told to fetch.
 * A round that runs out of time is followed by the next. The handler rejects when the coordination table gives no answer.
 */
export function createDirectoryHandler(deps: DirectoryHandlerDeps): DirectoryHandler {
  const { config, documents, store, clock, logger } = deps;
  const { directoryTable: table, directoryEntities: entities, directoryPreload: preload } = config;
  const reader = new DirectoryReader(documents, table);
  const writer = new DirectoryWriter({ documents, table, clock, entities });
  const sessions = new SessionNumbers(documents, table);
  const directory = new Directory({ documents, table, clock });
  const api = new API(createDiscordRest(config));
  let fleet: Promise<HandlerFleet> | undefined;
  const connect = (): Promise<HandlerFleet> => (fleet ??= connectHandlerFleet(deps));
  return async (_event, context) => {
    const nothing = { swept: { shards: 0, removed: 0, failed: 0 }, preloaded: { fetched: 0, asked: 0, failed: 0 } };
    if (entities.size === 0) return nothing;
    const stop = new AbortController();
    const timer = clock.schedule(Math.max(0, context.getRemainingTimeInMillis() - stopMarginMs), () => stop.abort());
    try {
      const swept = await sweepDirectory({ reader, directory, writer, sessions, rosters: store, logger }, stop.signal);
      const requestMembers: HandlerFleet['requestMembers'] = async (...args) =>
        (await connect()).requestMembers(...args);
      const preloaded = await preloadDirectory(
        { preload, entities, reader, writer, sessions, store, api, fleet: { requestMembers }, clock, logger },
        stop.signal,
      );
      const isQuiet = swept.removed + swept.failed + preloaded.fetched + preloaded.asked + preloaded.failed === 0;
      if (!isQuiet) logger.info({ swept, preloaded }, 'directory.round');
      return { swept, preloaded };
    } finally {
      timer.cancel();
    }
  };
}
