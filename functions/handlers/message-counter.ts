import { UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { type BatchContext, defineEvent } from 'baton/handlers';

/** Messages are gathered in memory for this long, so that a busy server costs a write now and then, not one a message. */
const flushEveryMs = 10_000;
const parallelWrites = 8;

/** Messages by guild since the last write. */
let counts = new Map<string, number>();
let gatheringSinceMs = performance.now();

/**
 * Counts messages per server, in items `APP#MESSAGES#<guild id>`. A statistic, not a ledger: an environment that ends
 * takes up to ten seconds of counting with it, and what is delivered twice counts twice.
 */
export const messageCounter = defineEvent(
  'MESSAGE_CREATE',
  (_message, ctx) => {
    if (ctx.guildId !== undefined) counts.set(ctx.guildId, (counts.get(ctx.guildId) ?? 0) + 1);
  },
  { intents: ['GUILD_MESSAGES'], afterBatch: writeCounts },
);

async function writeCounts(ctx: BatchContext): Promise<void> {
  const nowMs = performance.now();
  if (nowMs - gatheringSinceMs < flushEveryMs) return;
  gatheringSinceMs = nowMs;
  const gathered = counts;
  counts = new Map();

  const waiting = gathered.entries();
  const write = async () => {
    for (const [guildId, count] of waiting) {
      if (ctx.signal.aborted) putBack(guildId, count);
      else await add(ctx, guildId, count);
    }
  };
  await Promise.all(Array.from({ length: parallelWrites }, write));
}

async function add(ctx: BatchContext, guildId: string, count: number): Promise<void> {
  try {
    await ctx.table.documents.send(
      new UpdateCommand({
        TableName: ctx.table.name,
        Key: { pk: `APP#MESSAGES#${guildId}`, sk: 'COUNT' },
        UpdateExpression: 'ADD messages :count',
        ExpressionAttributeValues: { ':count': count },
      }),
    );
  } catch (error) {
    // It may have arrived all the same: then these messages count twice, which a statistic can bear.
    putBack(guildId, count);
    ctx.log.warn({ guild: guildId, error: String(error) }, 'message_counter.write_failed');
  }
}

function putBack(guildId: string, count: number): void {
  counts.set(guildId, (counts.get(guildId) ?? 0) + count);
}
