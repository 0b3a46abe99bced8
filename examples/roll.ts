import { defineCommand } from 'baton/handlers';

export const roll = defineCommand({
  name: 'roll',
  description: 'Rolls dice',
  options: {
    sides: { type: 'integer', description: 'Sides of a die', required: true, choices: [6, 20, 100] },
    count: { type: 'integer', description: 'How many dice', min: 1, max: 10 },
    secret: { type: 'boolean', description: 'Show it to you alone' },
  },
  async run({ options, reply }) {
    // sides: 6 | 20 | 100     count: number | undefined
    const { sides, count = 1, secret = false } = options;
    const rolls = Array.from({ length: count }, () => 1 + Math.floor(Math.random() * sides));
    await reply({ content: `You rolled ${rolls.join(', ')}.`, ephemeral: secret });
  },
});
