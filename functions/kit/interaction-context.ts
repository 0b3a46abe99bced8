import type {
  CreateInteractionFollowUpResponseOptions,
  CreateInteractionResponseOptions,
  CreateInteractionUpdateMessageResponseOptions,
  EditInteractionResponseOptions,
} from '@discordjs/core';
import type {
  APIInteraction,
  APIInteractionGuildMember,
  APIMessage,
  APIModalInteractionResponseCallbackData,
  APIUser,
  Locale,
} from 'discord-api-types/v10';
import type { HandlerContext } from './handler-context.ts';

/** Text alone, or a message in Discord's form. `ephemeral`: only the user sees it. */
export type Reply =
  | string
  | (Omit<CreateInteractionResponseOptions, 'with_response'> & { readonly ephemeral?: boolean });

export type FollowUp = string | (CreateInteractionFollowUpResponseOptions & { readonly ephemeral?: boolean });
export type Edit = string | EditInteractionResponseOptions;
export type MessageUpdate = string | Omit<CreateInteractionUpdateMessageResponseOptions, 'with_response'>;

/** What every interaction handler gets, whether it came by the gateway or by HTTP. */
export interface InteractionContext<I extends APIInteraction = APIInteraction> extends HandlerContext {
  /** The interaction as Discord sent it. */
  readonly interaction: I;
  /** `undefined` in direct messages. */
  readonly guildId: string | undefined;
  readonly channelId: string | undefined;
  readonly user: APIUser;
  readonly userId: string;
  /** The user as a member of the guild; `undefined` in direct messages. */
  readonly member: APIInteractionGuildMember | undefined;
  /** The language of the user's client. */
  readonly locale: Locale;
  /** Milliseconds from the user's action to the start of the handler, by this machine's clock. */
  readonly ageMs: number;
}

/** Answers. Discord takes the first one within three seconds, further ones within 15 minutes. */
export interface ReplyingContext {
  /** The first answer; after {@link defer} it takes the place of "thinking…". */
  reply(message: Reply): Promise<void>;
  /** Shows "thinking…"; the answer follows with {@link reply} or {@link editReply} within 15 minutes. */
  defer(options?: { readonly ephemeral?: boolean }): Promise<void>;
  /** Replaces the first answer. */
  editReply(message: Edit): Promise<APIMessage>;
  deleteReply(): Promise<void>;
  /** A further message, after the first answer. */
  followUp(message: FollowUp): Promise<APIMessage>;
}

/** Opens a form, as the first answer; `defineModal(…).open(…)` makes one. */
export interface ModalShowingContext {
  showModal(modal: APIModalInteractionResponseCallbackData): Promise<void>;
}

/** Answers that change the message a component is on. */
export interface UpdatingContext {
  /** Changes the message, as the first answer. */
  update(message: MessageUpdate): Promise<void>;
  /** Says that it was heard; the message may be changed later with `editReply`. */
  deferUpdate(): Promise<void>;
}
