import { defaultIntents, type IntentName, intentsToBits, privilegedIntents } from './event-intents.ts';
import type { Registry } from './registry.ts';

/** What the workers need to know of the handlers. */
export interface HandlerManifest {
  /** Dispatch types that some handler asked for, sorted. */
  readonly eventTypes: readonly string[];
  /** Intents that carry them, as IDENTIFY wants them. */
  readonly intents: number;
  /** Those of the intents that must be switched on for the application, sorted. */
  readonly privilegedIntents: readonly string[];
}

/** Derives event types and intents. GUILDS is always among them: workers count guilds by it. */
export function deriveManifest(registry: Registry): HandlerManifest {
  const intents = new Set<IntentName>(['GUILDS']);
  for (const handlers of registry.events.values()) {
    for (const { definition } of handlers) {
      for (const intent of definition.intents ?? definition.types.flatMap(defaultIntents)) intents.add(intent);
    }
  }
  return {
    eventTypes: [...registry.events.keys()].sort(),
    intents: intentsToBits(intents),
    privilegedIntents: [...intents].filter((intent) => privilegedIntents.has(intent)).sort(),
  };
}

/** Privileged intents, each with the handlers that ask for it. */
export function privilegedIntentUsers(registry: Registry): ReadonlyMap<IntentName, readonly string[]> {
  const users = new Map<IntentName, Set<string>>();
  for (const { definition, name } of [...registry.events.values()].flat()) {
    for (const intent of definition.intents ?? definition.types.flatMap(defaultIntents)) {
      if (privilegedIntents.has(intent)) users.set(intent, (users.get(intent) ?? new Set()).add(name));
    }
  }
  return new Map([...users].map(([intent, names]) => [intent, [...names]]));
}
