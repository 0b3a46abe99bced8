import { GatewayDispatchEvents } from 'discord-api-types/v10';
import { componentTypes } from './component-types.ts';
import type { ComponentDefinition } from './define-component.ts';
import type { EventDefinition } from './define-event.ts';
import type { MessageDefinition } from './define-message.ts';
import type { ModalDefinition } from './define-modal.ts';
import { intentsOfEvent } from './event-intents.ts';
import type { FieldOption, ModalField } from './modal-fields.ts';

const eventTypes: ReadonlySet<string> = new Set(Object.values(GatewayDispatchEvents));

/** What is wrong with an event handler: each with the field and the rule. */
export function eventProblems({ types, intents }: EventDefinition): string[] {
  if (types.length === 0) return ['type: there must be at least one'];
  return types.flatMap((type) => {
    if (!eventTypes.has(type) || (type as string) === 'INTERACTION_CREATE') {
      return [`type: "${type}" is no dispatch type that handlers can ask for`];
    }
    const carriers = intentsOfEvent[type];
    if (intents && carriers.length > 0 && !intents.some((intent) => carriers.includes(intent))) {
      return [`intents: none of them carries ${type}; it needs ${carriers.join(' or ')}`];
    }
    return [];
  });
}

/** What is wrong with a handler of messages between shards. */
export function messageProblems({ name, check }: MessageDefinition): string[] {
  const problems: string[] = [];
  if (!/^[\w.:-]{1,64}$/.test(name)) {
    problems.push(`name: ${JSON.stringify(name)} must be 1 to 64 letters, digits, _, ., : or -`);
  }
  if (typeof check !== 'function' && typeof check?.['~standard']?.validate !== 'function') {
    problems.push('check: must be a type guard, or a schema with ~standard.validate');
  }
  return problems;
}

/** What is wrong with a component handler, its custom-id pattern apart. */
export function componentProblems({ type, values }: ComponentDefinition): string[] {
  if (!Object.hasOwn(componentTypes, type)) {
    return [`type: ${JSON.stringify(type)} must be one of ${Object.keys(componentTypes).join(', ')}`];
  }
  if (values === undefined) return [];
  if (type !== 'string-select') return [`values: only a string-select has them, not a ${type}`];
  return [
    ...(values.length < 1 || values.length > 25 ? [`values: must be 1 to 25, not ${values.length}`] : []),
    ...values.flatMap((value) => lengthProblems(`values: "${value}"`, value, 1, 100)),
  ];
}

/** What is wrong with a form, its custom-id pattern apart. */
export function modalProblems({ title, fields }: ModalDefinition): string[] {
  const declared = Object.entries(fields ?? {});
  return [
    ...lengthProblems('title', title, 1, 45),
    ...(declared.length < 1 || declared.length > 5 ? [`fields: must be 1 to 5, not ${declared.length}`] : []),
    ...declared.flatMap(([name, field]) => [
      ...lengthProblems(`fields.${name}: the name`, name, 1, 100),
      ...fieldProblems(`fields.${name}`, field),
    ]),
  ];
}

/** How many options each kind of field may have. */
const optionLimits = {
  'string-select': [1, 25],
  'checkbox-group': [1, 10],
  'radio-group': [2, 10],
} as const;

function fieldProblems(path: string, field: ModalField): string[] {
  const isContradiction = 'minValues' in field && field.minValues === 0 && field.required === true;
  const common = [
    ...(isContradiction ? [`${path}.minValues: 0 is nothing at all, and the field is required`] : []),
    ...lengthProblems(`${path}.label`, field.label, 1, 45),
    ...(field.description === undefined ? [] : lengthProblems(`${path}.description`, field.description, 0, 100)),
  ];
  switch (field.type) {
    case 'short':
    case 'paragraph':
      return [
        ...common,
        ...(field.placeholder === undefined ? [] : lengthProblems(`${path}.placeholder`, field.placeholder, 0, 100)),
        ...rangeProblems(path, ['minLength', field.minLength], ['maxLength', field.maxLength], 4000),
      ];
    case 'string-select':
    case 'checkbox-group':
      return [
        ...common,
        ...optionProblems(path, field.type, field.options),
        ...rangeProblems(path, ['minValues', field.minValues], ['maxValues', field.maxValues], field.options.length),
      ];
    case 'radio-group':
      return [...common, ...optionProblems(path, field.type, field.options)];
    case 'user-select':
    case 'role-select':
    case 'mentionable-select':
    case 'channel-select':
      return [...common, ...rangeProblems(path, ['minValues', field.minValues], ['maxValues', field.maxValues], 25)];
    case 'file-upload':
      return [...common, ...rangeProblems(path, ['minValues', field.minValues], ['maxValues', field.maxValues], 10)];
    case 'checkbox':
      return common;
    default:
      return [`${path}.type: ${JSON.stringify((field as { type: unknown }).type)} is no type of field`];
  }
}

function optionProblems(path: string, type: keyof typeof optionLimits, options: readonly FieldOption[]): string[] {
  const [min, max] = optionLimits[type];
  const values = options.map((option) => (typeof option === 'string' ? option : option.value));
  const repeated = values.find((value, index) => values.indexOf(value) < index);
  return [
    ...(options.length < min || options.length > max
      ? [`${path}.options: must be ${min} to ${max}, not ${options.length}`]
      : []),
    ...(repeated === undefined ? [] : [`${path}.options: "${repeated}" is there twice`]),
    ...options.flatMap((option) =>
      typeof option === 'string'
        ? lengthProblems(`${path}.options: "${option}"`, option, 1, 100)
        : [
            ...lengthProblems(`${path}.options: the value "${option.value}"`, option.value, 1, 100),
            ...lengthProblems(`${path}.options: the label "${option.label}"`, option.label, 1, 100),
          ],
    ),
  ];
}

function rangeProblems(
  path: string,
  [minName, min]: readonly [string, number | undefined],
  [maxName, max]: readonly [string, number | undefined],
  largest: number,
): string[] {
  const isWhole = (value: number, from: number) => Number.isInteger(value) && value >= from && value <= largest;
  return [
    ...(min !== undefined && !isWhole(min, 0)
      ? [`${path}.${minName}: must be a whole number from 0 to ${largest}`]
      : []),
    ...(max !== undefined && !isWhole(max, 1)
      ? [`${path}.${maxName}: must be a whole number from 1 to ${largest}`]
      : []),
    ...(min !== undefined && max !== undefined && min > max
      ? [`${path}.${minName}: ${min} is above ${maxName} ${max}`]
      : []),
  ];
}

function lengthProblems(field: string, value: unknown, min: number, max: number): string[] {
  const length = typeof value === 'string' ? Array.from(value).length : undefined;
  if (length !== undefined && length >= min && length <= max) return [];
  return [`${field}: must have ${min} to ${max} characters${length === undefined ? '' : `, not ${length}`}`];
}
