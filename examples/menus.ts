import { defineMessageCommand, defineUserCommand } from 'baton/handlers';

export const whoIs = defineUserCommand({
  name: 'Who is this?',
  run: ({ target, reply }) =>
    reply({ content: `${target.username}, here since ${target.member?.joined_at ?? 'never'}`, ephemeral: true }),
});

export const quote = defineMessageCommand({
  name: 'Quote',
  defaultMemberPermissions: ['ManageMessages'],
  run: ({ target, reply }) => reply(`> ${target.content}\n— ${target.author.username}`),
});
