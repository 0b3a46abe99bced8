import { PermissionFlagsBits } from 'discord-api-types/v10';
import { commandJson, contextTypes, integrationTypes } from './command-json.ts';
import type { Choice, CommandOption, CommandOptions } from './command-options.ts';
import type {
  CommandDefinition,
  CommandSettings,
  MessageCommandDefinition,
  SubcommandDefinition,
  SubcommandGroup,
  UserCommandDefinition,
} from './define-command.ts';

// Discord, "Application Commands": naming, limits, and the structures of commands and options.

type AnyCommand = CommandDefinition | UserCommandDefinition | MessageCommandDefinition;

/** Discord's rule for names of slash commands and options: letters of any script, in lower case where there is one. */
const slashName = /^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$/u;
const maxOptions = 25;
const maxChoices = 25;
/** Names, descriptions and values of one command, in characters; of localizations the longest of each counts. */
const maxCommandLength = 8000;
const maxStringLength = 6000;
/** Commands of each kind in one scope. */
const maxOfKind = { command: 100, 'user-command': 15, 'message-command': 15 } as const satisfies Record<
  AnyCommand['kind'],
  number
>;

/** What Discord would refuse of a slash command: each with the field and the rule. */
export function commandProblems(definition: CommandDefinition): string[] {
  const check = new Check();
  check.slashName('name', definition.name, definition.nameLocalizations);
  check.described('', definition);
  checkSettings(check, definition);
  if (definition.subcommands === undefined) checkOptions(check, 'options', definition.options);
  else checkSubcommands(check, definition.subcommands);
  // What it counts is only meaningful for a command that is of the right form.
  if (check.problems.length === 0) checkLength(check, definition);
  return check.problems;
}

/** What Discord would refuse of a command in the menu of users or messages. */
export function menuCommandProblems(definition: UserCommandDefinition | MessageCommandDefinition): string[] {
  const check = new Check();
  check.length('name', definition.name, 1, 32);
  for (const [locale, name] of Object.entries(definition.nameLocalizations ?? {})) {
    check.length(`nameLocalizations.${locale}`, name ?? undefined, 1, 32);
  }
  checkSettings(check, definition);
  return check.problems;
}

/** What Discord would refuse of all commands together. */
export function setOfCommandsProblems(definitions: readonly AnyCommand[]): string[] {
  return Object.entries(maxOfKind).flatMap(([kind, max]) => {
    const count = definitions.filter((definition) => definition.kind === kind).length;
    return count > max ? [`there are ${count} definitions of kind ${kind}; Discord takes ${max}`] : [];
  });
}

class Check {
  readonly problems: string[] = [];

  slashName(field: string, name: unknown, localizations: Localizations): void {
    const check = (where: string, value: unknown) => {
      if (typeof value === 'string' && slashName.test(value) && value === value.toLowerCase()) return;
      this.problems.push(`${where}: ${JSON.stringify(value)} must be 1 to 32 lower-case letters, digits, - or _`);
    };
    check(field, name);
    for (const [locale, value] of Object.entries(localizations ?? {})) {
      if (value !== null) check(`${localized(field)}.${locale}`, value);
    }
  }

  described(prefix: string, { description, descriptionLocalizations }: Described): void {
    this.length(`${prefix}description`, description, 1, 100);
    for (const [locale, value] of Object.entries(descriptionLocalizations ?? {})) {
      if (value !== null) this.length(`${prefix}descriptionLocalizations.${locale}`, value, 1, 100);
    }
  }

  length(field: string, value: unknown, min: number, max: number): void {
    const length = typeof value === 'string' ? Array.from(value).length : undefined;
    if (length !== undefined && length >= min && length <= max) return;
    this.problems.push(
      `${field}: must have ${min} to ${max} characters${length === undefined ? '' : `, not ${length}`}`,
    );
  }

  words(field: string, given: readonly string[] | undefined, known: readonly string[]): void {
    if (given?.length === 0) this.problems.push(`${field}: must name at least one, or be left out`);
    const unknown = given?.find((word) => !known.includes(word));
    if (unknown === undefined) return;
    const examples = known.length > 5 ? 'the names of discord-api-types, such as ManageGuild' : known.join(', ');
    this.problems.push(`${field}: ${JSON.stringify(unknown)} is none of ${examples}`);
  }

  /** Whether these are declarations by name. */
  named(field: string, declared: unknown): declared is object {
    if (typeof declared === 'object' && declared !== null && !Array.isArray(declared)) return true;
    this.problems.push(`${field}: must be an object, with a name for each`);
    return false;
  }

  count(field: string, count: number, max: number): void {
    if (count > max) this.problems.push(`${field}: there are ${count}; Discord takes ${max}`);
  }
}

type Localizations = CommandSettings['nameLocalizations'];

interface Described {
  readonly description: string;
  readonly descriptionLocalizations?: Localizations;
}

function localized(field: string): string {
  return field === 'name' ? 'nameLocalizations' : `${field}.nameLocalizations`;
}

function checkSettings(check: Check, settings: CommandSettings): void {
  const { contexts, defaultMemberPermissions: permissions } = settings;
  check.words('contexts', contexts, Object.keys(contextTypes));
  check.words('integrationTypes', settings.integrationTypes, Object.keys(integrationTypes));
  // Without a word it is for administrators alone.
  if (typeof permissions === 'object' && permissions.length > 0) {
    check.words('defaultMemberPermissions', permissions, Object.keys(PermissionFlagsBits));
  }
}

function checkSubcommands(check: Check, subcommands: object, prefix = 'subcommands', depth = 1): void {
  if (!check.named(prefix, subcommands)) return;
  const declared = Object.entries(subcommands) as [string, SubcommandDefinition | SubcommandGroup][];
  if (declared.length === 0) check.problems.push(`${prefix}: there must be at least one`);
  check.count(prefix, declared.length, maxOptions);
  for (const [name, each] of declared) {
    const field = `${prefix}.${name}`;
    check.slashName(field, name, each.nameLocalizations);
    check.described(`${field}.`, each);
    if (!('subcommands' in each)) {
      if (each.kind === 'subcommand') checkOptions(check, `${field}.options`, each.options);
      else check.problems.push(`${field}: must be made with defineSubcommand, or have subcommands`);
    } else if (depth === 2) check.problems.push(`${field}: groups cannot hold groups`);
    else checkSubcommands(check, each.subcommands, `${field}.subcommands`, depth + 1);
  }
}

function checkOptions(check: Check, prefix: string, options: CommandOptions): void {
  if (!check.named(prefix, options)) return;
  const declared = Object.entries(options);
  check.count(prefix, declared.length, maxOptions);
  let optional: string | undefined;
  for (const [name, option] of declared) {
    const field = `${prefix}.${name}`;
    check.slashName(field, name, option.nameLocalizations);
    check.described(`${field}.`, option);
    if (!option.required) optional ??= name;
    else if (optional !== undefined) {
      check.problems.push(`${field}: is required and comes after "${optional}"; required options come first`);
    }
    checkOption(check, field, option);
  }
}

function checkOption(check: Check, field: string, option: CommandOption): void {
  const complain = (problem: string) => check.problems.push(`${field}${problem}`);
  switch (option.type) {
    case 'string': {
      const { minLength = 0, maxLength = maxStringLength } = option;
      if (!isWhole(minLength, 0, maxStringLength))
        complain(`.minLength: must be a whole number from 0 to ${maxStringLength}`);
      if (!isWhole(maxLength, 1, maxStringLength))
        complain(`.maxLength: must be a whole number from 1 to ${maxStringLength}`);
      if (minLength > maxLength) complain(`.minLength: ${minLength} is above maxLength ${maxLength}`);
      checkChoices(check, field, option);
      for (const choice of option.choices ?? []) {
        check.length(`${field}.choices: "${valueOf(choice)}"`, valueOf(choice), 1, 100);
      }
      break;
    }
    case 'integer':
    case 'number': {
      const largest = option.type === 'integer' ? Number.MAX_SAFE_INTEGER : 2 ** 53;
      const isAllowed = (value: number) =>
        Math.abs(value) <= largest && (option.type === 'number' ? Number.isFinite(value) : Number.isInteger(value));
      const kind = option.type === 'integer' ? 'a whole number' : 'a number';
      const { min, max } = option;
      if (min !== undefined && !isAllowed(min)) complain(`.min: must be ${kind} between -${largest} and ${largest}`);
      if (max !== undefined && !isAllowed(max)) complain(`.max: must be ${kind} between -${largest} and ${largest}`);
      if (min !== undefined && max !== undefined && min > max) complain(`.min: ${min} is above max ${max}`);
      checkChoices(check, field, option);
      for (const choice of option.choices ?? []) {
        if (!isAllowed(valueOf(choice))) complain(`.choices: ${valueOf(choice)} must be ${kind}`);
      }
      break;
    }
    case 'channel':
      if (option.channelTypes?.length === 0) complain('.channelTypes: must name at least one, or be left out');
      break;
    case 'boolean':
    case 'user':
    case 'role':
    case 'mentionable':
    case 'attachment':
      break;
    default:
      complain(`.type: ${JSON.stringify((option as { type: unknown }).type)} is no type of option`);
  }
}

function checkChoices(
  check: Check,
  field: string,
  { choices, autocomplete }: { readonly choices?: readonly Choice<string | number>[]; readonly autocomplete?: unknown },
): void {
  if (!choices) return;
  if (autocomplete !== undefined) check.problems.push(`${field}: choices and autocomplete exclude each other`);
  if (choices.length === 0) check.problems.push(`${field}.choices: must name at least one, or be left out`);
  check.count(`${field}.choices`, choices.length, maxChoices);
  const names = choices.map((choice) => (typeof choice === 'object' ? choice.name : String(choice)));
  for (const [index, name] of names.entries()) {
    if (typeof choices[index] === 'object') check.length(`${field}.choices: the name "${name}"`, name, 1, 100);
    if (names.indexOf(name) < index) check.problems.push(`${field}.choices: "${name}" is there twice`);
  }
}

function valueOf<V extends string | number>(choice: Choice<V>): V {
  return typeof choice === 'object' ? choice.value : choice;
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}

function checkLength(check: Check, definition: CommandDefinition): void {
  const length = commandLength(commandJson(definition) as unknown as CommandText);
  if (length > maxCommandLength) {
    check.problems.push(
      `names, descriptions and values have ${length} characters together; Discord takes ${maxCommandLength}`,
    );
  }
}

/** What counts of a command or option. */
interface CommandText {
  readonly name: string;
  readonly name_localizations?: Readonly<Record<string, string | null>>;
  readonly description?: string;
  readonly description_localizations?: Readonly<Record<string, string | null>>;
  readonly value?: string | number;
  readonly options?: readonly CommandText[];
  readonly choices?: readonly CommandText[];
}

function commandLength(part: CommandText): number {
  const inner = [...(part.options ?? []), ...(part.choices ?? [])];
  return (
    longest(part.name, part.name_localizations) +
    longest(part.description ?? '', part.description_localizations) +
    (part.value === undefined ? 0 : String(part.value).length) +
    inner.reduce((sum, each) => sum + commandLength(each), 0)
  );
}

function longest(text: string, localizations: Readonly<Record<string, string | null>> = {}): number {
  return Math.max(text.length, ...Object.values(localizations).map((each) => each?.length ?? 0));
}
