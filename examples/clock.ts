import { defineCommand } from 'baton/handlers';

const zones = Intl.supportedValuesOf('timeZone');

export const clock = defineCommand({
  name: 'clock',
  description: 'Tells the time somewhere',
  options: {
    zone: {
      type: 'string',
      description: 'Time zone',
      required: true,
      autocomplete: ({ value }) => zones.filter((zone) => zone.toLowerCase().includes(value.toLowerCase())),
    },
  },
  run({ options, locale, reply }) {
    // Suggestions bind nobody: this may be any text.
    if (!zones.includes(options.zone)) return reply({ content: 'I know no such zone.', ephemeral: true });
    return reply(new Date().toLocaleTimeString(locale, { timeZone: options.zone }));
  },
});
