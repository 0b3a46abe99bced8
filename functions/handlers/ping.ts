import { defineCommand } from '../kit/define-command.ts';

export const ping = defineCommand({
  name: 'ping',
  description: 'Says how long a command takes from Discord to this bot',
  run: (ctx) => ctx.reply(`Pong: ${Math.round(ctx.ageMs)} ms from Discord to the handler.`),
});
