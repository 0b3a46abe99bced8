import type { APIApplicationCommandAutocompleteInteraction } from 'discord-api-types/v10';
import type { InteractionContext } from './interaction-context.ts';

/** What an option's `autocomplete` gets. It returns its suggestions; there is nothing else to answer. */
export interface AutocompleteContext extends InteractionContext<APIApplicationCommandAutocompleteInteraction> {
  /** The option that the user is typing. */
  readonly option: string;
  /** What the user has typed so far. */
  readonly value: string;
  /** The other options filled in so far, by name. Users, channels, roles and attachments are ids here. */
  readonly options: Readonly<Record<string, string | number | boolean | undefined>>;
}
