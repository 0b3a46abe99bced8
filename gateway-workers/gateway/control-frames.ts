import * as z from 'zod';
import type { ShardAddress } from '../../shared/sharding.ts';

/** Opcodes that Baton acts on (Discord, "Opcodes and Status Codes", Gateway Opcodes). */
export const opcodes = {
  dispatch: 0,
  heartbeat: 1,
  identify: 2,
  resume: 6,
  reconnect: 7,
  invalidSession: 9,
  hello: 10,
  heartbeatAck: 11,
} as const;

/** What READY tells that RESUME will not tell again. */
export interface Ready {
  readonly sessionId: string;
  /** `undefined` if Discord sent none that can be dialled. */
  readonly resumeGatewayUrl: string | undefined;
  readonly applicationId: string;
  readonly userId: string;
  readonly guildIds: string[];
}

const id = z.string().regex(/^\d{1,20}$/);

const readySchema = z.object({
  d: z.object({
    session_id: z.string().min(1).max(256),
    resume_gateway_url: z.unknown(),
    user: z.object({ id }),
    application: z.object({ id }),
    guilds: z.array(z.object({ id })),
  }),
});

// Far wider than what Discord uses (41,250 ms): only values that would stall or spin the timer are refused.
const helloSchema = z.object({ d: z.object({ heartbeat_interval: z.number().min(10).max(600_000) }) });

/** `undefined` when the frame is not a usable READY. */
export function readReady(frame: Buffer): Ready | undefined {
  const ready = readySchema.safeParse(parse(frame));
  if (!ready.success) return undefined;
  const { session_id, resume_gateway_url, user, application, guilds } = ready.data.d;
  return {
    sessionId: session_id,
    resumeGatewayUrl: isGatewayUrl(resume_gateway_url) ? resume_gateway_url : undefined,
    applicationId: application.id,
    userId: user.id,
    guildIds: guilds.map((guild) => guild.id),
  };
}

/** Milliseconds between heartbeats, or `undefined` when the frame is not a usable HELLO. */
export function readHeartbeatInterval(frame: Buffer): number | undefined {
  const hello = helloSchema.safeParse(parse(frame));
  return hello.success ? hello.data.d.heartbeat_interval : undefined;
}

/** Whether an INVALID_SESSION (op 9) allows to resume. */
export function readResumable(frame: Buffer): boolean {
  return (parse(frame) as { d?: unknown } | undefined)?.d === true;
}

function parse(frame: Buffer): unknown {
  try {
    return JSON.parse(frame.toString());
  } catch {
    // A frame that passed the scan and is still no JSON is as good as one without the expected fields.
    return undefined;
  }
}

/** Whether a socket can be dialled there. */
export function isGatewayUrl(url: unknown): url is string {
  return typeof url === 'string' && URL.canParse(url) && /^wss?:$/.test(new URL(url).protocol);
}

/** Op 1, with the last `s` read. */
export function heartbeatFrame(seq: number | undefined): string {
  return `{"op":${opcodes.heartbeat},"d":${seq ?? null}}`;
}

/** Op 2. Holds the token: never log it. */
export function identifyFrame(token: string, intents: number, { shardId, shardCount }: ShardAddress): string {
  const properties = { os: process.platform, browser: 'baton', device: 'baton' };
  return JSON.stringify({
    op: opcodes.identify,
    d: { token, intents, properties, shard: [shardId, shardCount] },
  });
}

/** Op 6. Holds the token: never log it. */
export function resumeFrame(token: string, sessionId: string, seq: number): string {
  return JSON.stringify({ op: opcodes.resume, d: { token, session_id: sessionId, seq } });
}
