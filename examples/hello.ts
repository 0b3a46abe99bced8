import { defineCommand } from 'baton/handlers';

export const hello = defineCommand({
  name: 'hello',
  description: 'Says hello',
  run: (ctx) => ctx.reply(`Hello, <@${ctx.userId}>!`),
});
