import { actionRow, defineCommand, defineComponent, defineModal, defineSubcommand } from 'baton/handlers';

export const ticket = defineCommand({
  name: 'ticket',
  description: 'Asks the staff',
  contexts: ['GUILD'],
  subcommands: {
    open: defineSubcommand({
      description: 'Opens a ticket',
      options: { urgent: { type: 'boolean', description: 'Cannot wait' } },
      run: (ctx) => ctx.showModal(ticketForm.open({ urgent: ctx.options.urgent ?? false })),
    }),
    rules: defineSubcommand({
      description: 'Says what tickets are for',
      run: (ctx) => ctx.reply({ content: 'One ticket, one question.', ephemeral: true }),
    }),
  },
});

export const ticketForm = defineModal({
  customId: 'ticket-form:{urgent:boolean}',
  title: 'New ticket',
  fields: {
    subject: { type: 'short', label: 'Subject', maxLength: 80 },
    area: { type: 'radio-group', label: 'Area', options: ['billing', 'abuse', 'other'] },
    details: { type: 'paragraph', label: 'Details', required: false },
  },
  async run({ params, fields, userId, reply }) {
    // params.urgent: boolean     fields.area: 'billing' | 'abuse' | 'other'
    const content = `${params.urgent ? '🚨 ' : ''}**${fields.subject}** (${fields.area})\n${fields.details}`;
    const claim = ticketButton.component({ label: 'I take it' }, { author: userId, action: 'claim' });
    const close = ticketButton.component({ label: 'Close', style: 'danger' }, { author: userId, action: 'close' });
    await reply({ content, components: [actionRow(claim, close)] });
  },
});

export const ticketButton = defineComponent({
  type: 'button',
  customId: 'ticket:{author:snowflake}:{action:claim|close}',
  run({ params, userId, message, update }) {
    // params.action: 'claim' | 'close'
    if (params.action === 'claim') return update(`${message.content}\n\n<@${userId}> takes care of it.`);
    return update({ content: `${message.content}\n\nClosed. Thank you, <@${params.author}>!`, components: [] });
  },
});
