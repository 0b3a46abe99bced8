import { actionRow, defineCommand, defineComponent } from 'baton/handlers';

export const team = defineCommand({
  name: 'team',
  description: 'Picks a team',
  run: ({ reply }) =>
    reply({
      content: 'Who plays, and on which side?',
      components: [
        actionRow(players.component({ placeholder: 'Up to five', maxValues: 5 })),
        actionRow(side.component({ placeholder: 'Side' })),
      ],
    }),
});

export const players = defineComponent({
  type: 'user-select',
  customId: 'team:players',
  // values: readonly ResolvedUser[]
  run: ({ values, reply }) => reply(`Players: ${values.map((user) => user.username).join(', ')}`),
});

export const side = defineComponent({
  type: 'string-select',
  customId: 'team:side',
  values: ['red', 'blue'],
  // values: readonly ('red' | 'blue')[]
  run: ({ values, reply }) => reply(`Side: ${values[0]}`),
});
