import type { APIInteractionDataResolvedGuildMember, APIRole, APIUser } from 'discord-api-types/v10';

export type {
  APIAttachment as ResolvedAttachment,
  APIInteractionDataResolvedChannel as ResolvedChannel,
  APIRole as ResolvedRole,
} from 'discord-api-types/v10';

/** A user, and, where the interaction came from a guild that they are in, the member. */
export type ResolvedUser = APIUser & { readonly member?: APIInteractionDataResolvedGuildMember };

/** What a mentionable option or select holds. */
export type ResolvedMentionable =
  | { readonly kind: 'user'; readonly id: string; readonly user: ResolvedUser }
  | { readonly kind: 'role'; readonly id: string; readonly role: APIRole };
