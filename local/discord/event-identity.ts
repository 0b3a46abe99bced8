/**
 * Every event of the simulator's traffic carries who it is in an undocumented key of `d`, as Discord itself sends
 * undocumented keys: `"baton_seq":"<stream>:<n>"`. A stream is a guild's id, {@link directMessageStream},
 * {@link interactionStream} or {@link endpointInteractionStream}; `n` counts from 1 without holes. It is always the first key of `d`.
 */
export interface EventIdentity {
  readonly stream: string;
  readonly n: number;
}

const identityKey = 'baton_seq';

/** Stream of events without a guild: they go to shard 0. */
export const directMessageStream = 'dm';

/** Stream of all INTERACTION_CREATE events of the gateway: they travel apart from the events of their guild, so they are counted apart. */
export const interactionStream = 'interactions';

/** Stream of the interactions that go to the interactions endpoint. */
export const endpointInteractionStream = 'endpoint-interactions';

/** The JSON object `body` with the identity put in front of its keys. */
export function withIdentity(body: string, stream: string, n: number): string {
  const rest = body === '{}' ? '}' : `,${body.slice(1)}`;
  return `{"${identityKey}":"${stream}:${n}"${rest}`;
}

/** Who an event is, read from its parsed `d`; `undefined` for what is not traffic (READY, GUILD_CREATE at the start, ...). */
export function readIdentity(d: unknown): EventIdentity | undefined {
  if (typeof d !== 'object' || d === null) return undefined;
  return parseIdentity((d as Record<string, unknown>)[identityKey]);
}

const marker = `"d":{"${identityKey}":"`;

/** Who an event is, read from a dispatch frame's text without parsing it. */
export function readFrameIdentity(frame: string): EventIdentity | undefined {
  // The key can only stand behind `"d":{`, and a quote inside a string is escaped: this text cannot occur in a payload by chance.
  const start = frame.indexOf(marker);
  if (start < 0) return undefined;
  const valueStart = start + marker.length;
  return parseIdentity(frame.slice(valueStart, frame.indexOf('"', valueStart)));
}

function parseIdentity(value: unknown): EventIdentity | undefined {
  if (typeof value !== 'string') return undefined;
  const colon = value.lastIndexOf(':');
  const n = Number(value.slice(colon + 1));
  return colon > 0 && Number.isSafeInteger(n) && n > 0 ? { stream: value.slice(0, colon), n } : undefined;
}
