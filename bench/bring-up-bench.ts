import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startFleet } from '../local/fleet.ts';
import { systemClock } from '../shared/clock.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { formatSummary, summarize } from './summary.ts';

export interface BringUpBenchOptions {
  readonly shards: number;
  readonly workers: number;
  readonly rounds: number;
  readonly json: boolean;
}

const readyWithinMs = 180_000;

/** Seconds from a cold fleet's first IDENTIFY to its last, sixteen buckets, and how many came too soon. */
export async function benchBringUp({ shards, workers, rounds, json }: BringUpBenchOptions): Promise<void> {
  const seconds: number[] = [];
  let violations = 0;
  for (let round = 0; round < rounds; round += 1) {
    const logDirectory = mkdtempSync(join(tmpdir(), 'baton-bench-'));
    const fleet = await startFleet({
      environment: { ...process.env, DISCORD_TOKEN: undefined },
      shards,
      workers,
      dataDirectory: undefined,
      logDirectory,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    try {
      const stop = new AbortController();
      const watching = fleet.watch(stop.signal);
      await Promise.race([fleet.untilReady(readyWithinMs, stop.signal), fleet.failed]);
      stop.abort();
      await watching;
      const { discord } = fleet;
      if (discord === undefined) throw new Error('the bench needs the simulator');
      seconds.push(discord.identifyingMs / 1000);
      violations += discord.identifyViolations;
      fleet.ledger.close();
    } finally {
      await fleet.close();
      rmSync(logDirectory, { recursive: true, force: true });
    }
  }
  const firstToLastSeconds = summarize(seconds);
  if (json) console.log(JSON.stringify({ bench: 'bring-up', shards, workers, firstToLastSeconds, violations }));
  else {
    console.log(
      `${shards} shards on ${workers} workers: first to last IDENTIFY ${formatSummary(firstToLastSeconds, 1)} s`,
    );
    console.log(`IDENTIFYs that came too soon: ${violations}`);
  }
}
