import { actionRow, defineCommand, defineComponent } from 'baton/handlers';

export const ping = defineCommand({
  name: 'ping',
  description: 'Says how long a command takes from Discord to this bot',
  run: ({ ageMs, reply }) => reply(pong(ageMs, 1)),
});

export const again = defineComponent({
  type: 'button',
  customId: 'ping:{count:integer}',
  async run({ ageMs, params, update }) {
    await update(pong(ageMs, params.count + 1));
  },
});

function pong(ageMs: number, count: number) {
  return {
    content: `Pong: ${Math.round(ageMs)} ms from Discord to the handler${count > 1 ? `, ${count} times` : ''}.`,
    components: [actionRow(again.component({ label: 'Again' }, { count }))],
  };
}
