import { BatonError } from '../errors.ts';
import type { ShardView } from './request-runner.ts';

/**
 * What a worker knows of the things that discord.js's client has, as plain data: for property paths and for sandboxed
 * code. Names, channels, roles and members are in the directory.
 */
export interface ClientData {
  readonly shardId: number;
  readonly shardCount: number;
  readonly workerId: string;
  /** Guild id and member count (0 while unknown). */
  readonly guilds: readonly (readonly [id: string, memberCount: number])[];
  /** Members of all guilds; somebody in two of them counts twice. */
  readonly userCount: number;
  /** Round trip of the last heartbeat in milliseconds; -1 before the first, as in discord.js. */
  readonly pingMs: number;
  readonly userId: string | null;
  readonly applicationId: string | null;
  /** Age of the session in milliseconds, handoffs included; `null` while the shard is not ready. */
  readonly uptimeMs: number | null;
  readonly isReady: boolean;
}

export function clientDataOf({ shard, workerId, report, guilds, userId, applicationId }: ShardView): ClientData {
  let userCount = 0;
  for (const memberCount of guilds.values()) userCount += memberCount;
  return {
    ...shard,
    workerId,
    guilds: [...guilds],
    userCount,
    pingMs: report.latencyMs > 0 ? report.latencyMs : -1,
    userId: userId === '' ? null : userId,
    applicationId: applicationId === '' ? null : applicationId,
    uptimeMs: report.ready ? (report.figures?.sessionAgeMs ?? 0) : null,
    isReady: report.ready,
  };
}

const maxPathLength = 200;
const pathPattern = /^[A-Za-z_$][\w$]*(\.[\w$]+)*$/;

/** Checks a property path such as `guilds.cache.size`. @throws {BatonError} `REQUEST_INVALID` when it is none. */
export function parsePropertyPath(path: unknown): string {
  if (typeof path === 'string' && path.length <= maxPathLength && pathPattern.test(path)) return path;
  const shown = typeof path === 'string' ? JSON.stringify(path.slice(0, maxPathLength)) : String(path);
  throw new BatonError(
    'REQUEST_INVALID',
    `${shown} is no property path: it must be names joined by dots, such as guilds.cache.size or ws.ping`,
  );
}

/**
 * The value at `path` of the shard's client, under discord.js's names, as JSON would carry it. `null` for a path that
 * does not exist. @throws {BatonError} `REQUEST_INVALID` for what is no path at all.
 */
export function readClientProperty(view: ShardView, path: string): unknown {
  let value: unknown = clientProperties(clientDataOf(view));
  for (const name of parsePropertyPath(path).split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null;
    value = (value as Record<string, unknown>)[name];
  }
  return typeof value === 'function' ? null : value;
}

function clientProperties(data: ClientData): unknown {
  const { shardId, shardCount, workerId, guilds, userCount, pingMs, userId, applicationId, uptimeMs, isReady } = data;
  return {
    guilds: {
      cache: collection(guilds.length, () => guilds.map(([id, memberCount]) => ({ id, memberCount, shardId }))),
    },
    users: { cache: collection(userCount, () => []) },
    ws: { ping: pingMs, status: statusOf(isReady) },
    shard: { ids: [shardId], count: shardCount, worker: workerId },
    user: userId === null ? null : { id: userId },
    application: applicationId === null ? null : { id: applicationId },
    uptime: uptimeMs,
  };
}

/** discord.js's numbers of `Status`: Ready and Idle. */
function statusOf(isReady: boolean): number {
  return isReady ? 0 : 3;
}

/** A collection has a size, and its JSON is the list of its values. */
function collection(size: number, values: () => unknown[]): object {
  return Object.defineProperty({ size }, 'toJSON', { value: values });
}
