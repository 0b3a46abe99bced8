import type { ChannelType } from 'discord-api-types/v10';
import type {
  ResolvedAttachment,
  ResolvedChannel,
  ResolvedMentionable,
  ResolvedRole,
  ResolvedUser,
} from './resolved-values.ts';

interface FieldBase {
  /** 1 to 45 characters. */
  readonly label: string;
  /** At most 100 characters, shown below the label. */
  readonly description?: string;
  /** @default true, unless `minValues` is 0 */
  readonly required?: boolean;
}

export interface TextField extends FieldBase {
  /** One line, or several. */
  readonly type: 'short' | 'paragraph';
  /** 0 to 4000. */
  readonly minLength?: number;
  /** 1 to 4000. */
  readonly maxLength?: number;
  /** At most 100 characters. */
  readonly placeholder?: string;
}

/** An option of a select, radio group or checkbox group: the value, which is also the label, or both. */
export type FieldOption<V extends string = string> =
  | V
  | { readonly value: V; readonly label: string; readonly description?: string };

export interface StringSelectField extends FieldBase {
  readonly type: 'string-select' | 'checkbox-group';
  readonly options: readonly FieldOption[];
  /** @default 1 */
  readonly minValues?: number;
  /** @default 1, for a checkbox group all */
  readonly maxValues?: number;
}

export interface RadioField extends FieldBase {
  readonly type: 'radio-group';
  /** 2 to 10. */
  readonly options: readonly FieldOption[];
}

export interface EntitySelectField extends FieldBase {
  readonly type: 'user-select' | 'role-select' | 'mentionable-select' | 'channel-select';
  /** For `channel-select`. @default channels of every type */
  readonly channelTypes?: readonly ChannelType[];
  /** @default 1 */
  readonly minValues?: number;
  /** @default 1 */
  readonly maxValues?: number;
}

export interface FileField extends FieldBase {
  readonly type: 'file-upload';
  /** @default 1 */
  readonly minValues?: number;
  /** 1 to 10. @default 1 */
  readonly maxValues?: number;
}

export interface CheckboxField extends Omit<FieldBase, 'required'> {
  readonly type: 'checkbox';
}

export type ModalField = TextField | StringSelectField | RadioField | EntitySelectField | FileField | CheckboxField;

/** The fields of a form by name, 1 to 5. */
export type ModalFields = Readonly<Record<string, ModalField>>;

type OptionOf<F> = F extends { readonly options: readonly (infer O)[] }
  ? O extends { readonly value: infer V }
    ? V
    : O
  : never;

type FieldValue<F extends ModalField> = F['type'] extends 'short' | 'paragraph'
  ? string
  : F['type'] extends 'string-select' | 'checkbox-group'
    ? readonly OptionOf<F>[]
    : F['type'] extends 'radio-group'
      ? F extends { readonly required: false }
        ? OptionOf<F> | undefined
        : OptionOf<F>
      : F['type'] extends 'checkbox'
        ? boolean
        : F['type'] extends 'user-select'
          ? readonly ResolvedUser[]
          : F['type'] extends 'role-select'
            ? readonly ResolvedRole[]
            : F['type'] extends 'mentionable-select'
              ? readonly ResolvedMentionable[]
              : F['type'] extends 'channel-select'
                ? readonly ResolvedChannel[]
                : readonly ResolvedAttachment[];

/** The values a handler gets. Text that was left out is empty, and so is a selection. */
export type FieldValues<F extends ModalFields> = { readonly [Name in keyof F]: FieldValue<F[Name]> };
