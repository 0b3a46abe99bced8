import { expect, test } from 'vitest';
import { intentsOfEvent } from '../../../functions/kit/event-intents.ts';
import type { EventType } from '../../../functions/kit/event-types.ts';
import { intentBits } from '../../../shared/config.ts';
import {
  type DirectoryEntity,
  directoryEntities,
  directoryEventTypes,
  directoryIntents,
} from '../../../shared/directory/directory-options.ts';

test.each(directoryEntities)('%s: the intents carry every event that is forwarded', (entity) => {
  const entities = new Set<DirectoryEntity>([entity]);
  const bits = directoryIntents(entities);
  for (const type of directoryEventTypes(entities)) {
    const carriers = intentsOfEvent[type as EventType];
    const isCarried = carriers.length === 0 || carriers.some((name) => ((intentBits.get(name) ?? 0) & bits) !== 0);
    expect([type, isCarried]).toEqual([type, true]);
  }
});

test('member counts are kept up where the intent is there, and nothing is forwarded for no directory', () => {
  const guilds = new Set<DirectoryEntity>(['guilds']);
  expect(directoryEventTypes(guilds)).not.toContain('GUILD_MEMBER_ADD');
  expect(directoryEventTypes(guilds, 1 << 1)).toContain('GUILD_MEMBER_ADD');
  expect(directoryEventTypes(new Set(), 1 << 1)).toEqual([]);
});
