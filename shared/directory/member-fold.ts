import { canonicalJson, packText } from './packed-json.ts';
import { itemKey, type MemberItem } from './directory-items.ts';
import type { GuildEvent } from './guild-state.ts';
import { sessionNumberOf } from './stream-position.ts';

/** A gone member is remembered for a day, so that a late copy of an event does not bring it back. */
const goneSeconds = 24 * 3600;

/** Requests for members that begin so are the directory's own: their last chunk ends a full list. */
export const fullListNonce = 'directory';

/** The members that events tell about, each as the last of them says. Payloads that lack an id are passed over. */
export function memberChanges(events: readonly GuildEvent[], nowSeconds: number): MemberItem[] {
  const changes = new Map<string, MemberItem>();
  const set = (event: GuildEvent, member: unknown, isGone = false): void => {
    if (typeof member !== 'object' || member === null) return;
    const { guild_id: _, presence: __, ...rest } = member as Record<string, unknown>;
    const userId = (rest['user'] as { id?: unknown } | undefined)?.id;
    if (typeof userId !== 'string') return;
    changes.set(userId, {
      ...itemKey.member(event.guildId, userId),
      position: event.position,
      ...(isGone ? { expiresAt: nowSeconds + goneSeconds } : { data: packText(canonicalJson(rest)) }),
    });
  };
  for (const event of events) {
    const { type, data } = event;
    const { members } = (data ?? {}) as { members?: unknown };
    switch (type) {
      case 'GUILD_MEMBER_ADD':
      case 'GUILD_MEMBER_UPDATE':
        set(event, data);
        break;
      case 'GUILD_MEMBER_REMOVE':
        set(event, data, true);
        break;
      case 'GUILD_CREATE':
      case 'GUILD_MEMBERS_CHUNK':
        if (Array.isArray(members)) for (const member of members) set(event, member);
        break;
      default:
        break;
    }
  }
  return [...changes.values()];
}

/** The session whose full list of members has just ended; members of earlier sessions that are not in it have left. */
export function endOfFullList({ type, data, position }: GuildEvent): number | undefined {
  if (type !== 'GUILD_MEMBERS_CHUNK') return undefined;
  const { nonce, chunk_index, chunk_count } = (data ?? {}) as Record<string, unknown>;
  const isLast = typeof chunk_index === 'number' && chunk_index + 1 === chunk_count;
  return isLast && typeof nonce === 'string' && nonce.startsWith(fullListNonce) ? sessionNumberOf(position) : undefined;
}
