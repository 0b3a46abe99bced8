import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Context } from 'aws-lambda';
import type { Clock } from '../../shared/clock.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { Directory } from '../../shared/directory/directory.ts';
import type { DirectoryEntities } from '../../shared/directory/directory-options.ts';
import { DirectoryReader } from '../../shared/directory/directory-reader.ts';
import { DirectoryWriter } from '../../shared/directory/directory-writer.ts';
import { SessionNumbers } from '../../shared/directory/session-numbers.ts';
import type { Logger } from '../../shared/logger.ts';
import { type SweepTotals, sweepDirectory } from './directory-sweep.ts';

export interface DirectoryHandlerDeps {
  readonly entities: DirectoryEntities;
  readonly documents: DynamoDBDocumentClient;
  /** The directory table. */
  readonly table: string;
  readonly rosters: Pick<CoordinationStore, 'readRoster'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The Lambda of the directory's schedule. */
export type DirectoryHandler = (
  event: unknown,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<SweepTotals>;

/** Kept at the end of an invocation for the shard that is being compared. */
const stopMarginMs = 5000;

/** Compares what the directory holds with what the shards' sessions began with. A round that runs out of time is followed by the next. */
export function createDirectoryHandler(deps: DirectoryHandlerDeps): DirectoryHandler {
  const { entities, documents, table, rosters, clock, logger } = deps;
  const sweep = {
    reader: new DirectoryReader(documents, table),
    directory: new Directory({ documents, table, clock }),
    writer: new DirectoryWriter({ documents, table, clock, entities }),
    sessions: new SessionNumbers(documents, table),
    rosters,
    logger,
  };
  return async (_event, context) => {
    if (entities.size === 0) return { shards: 0, removed: 0, failed: 0 };
    const stop = new AbortController();
    const timer = clock.schedule(Math.max(0, context.getRemainingTimeInMillis() - stopMarginMs), () => stop.abort());
    try {
      return await sweepDirectory(sweep, stop.signal);
    } finally {
      timer.cancel();
    }
  };
}
