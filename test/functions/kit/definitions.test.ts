import type { GatewayGuildCreateDispatchData, GatewayMessageCreateDispatchData } from 'discord-api-types/v10';
import { expectTypeOf, test } from 'vitest';
import { defineCommand } from '../../../functions/kit/define-command.ts';
import type { ResolvedChannel } from '../../../functions/kit/resolved-values.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';

test('handlers get the payload of their type', () => {
  defineEvent(
    'MESSAGE_CREATE',
    (message) => void expectTypeOf(message).toEqualTypeOf<GatewayMessageCreateDispatchData>(),
  );
  defineEvent('GUILD_CREATE', (guild) => void expectTypeOf(guild).toEqualTypeOf<GatewayGuildCreateDispatchData>());
  defineEvent('CHANNEL_UPDATE', (channel) => void expectTypeOf(channel.id).toEqualTypeOf<string>());
});

test('commands get their options as declared', () => {
  defineCommand({
    name: 'roll',
    description: 'Rolls dice',
    options: {
      sides: { type: 'integer', description: 'Sides', required: true },
      mood: { type: 'string', description: 'Mood', choices: ['calm', 'wild'] },
      channel: { type: 'channel', description: 'Where' },
      secret: { type: 'boolean', description: 'Only for you', required: true },
    },
    run({ options }) {
      expectTypeOf(options.sides).toEqualTypeOf<number>();
      expectTypeOf(options.mood).toEqualTypeOf<'calm' | 'wild' | undefined>();
      expectTypeOf(options.channel).toEqualTypeOf<ResolvedChannel | undefined>();
      expectTypeOf(options.secret).toEqualTypeOf<boolean>();
    },
  });
  // @ts-expect-error a command without options has none to read
  defineCommand({ name: 'ping', description: 'Pings', run: ({ options }) => void (options.who satisfies string) });
});
