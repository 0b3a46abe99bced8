import { defineCommand, defineMessage } from 'baton/handlers';
import { z } from 'zod';

export const scoreChanged = defineMessage(
  'score-changed',
  z.object({ points: z.int() }),
  // Runs in order with the events of the guild.
  ({ points }, ctx) => ctx.log.info({ guild: ctx.guildId, points }, 'score'),
);

export const score = defineCommand({
  name: 'score',
  description: 'Sets the score',
  contexts: ['GUILD'],
  options: { points: { type: 'integer', description: 'Points', required: true } },
  async run({ options, guildId, fleet, reply }) {
    if (guildId === undefined) return;
    await fleet.sendToGuild(guildId, scoreChanged.with({ points: options.points }));
    await reply(`The score is ${options.points}.`);
  },
});
