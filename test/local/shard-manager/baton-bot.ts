import { defineEvent } from '../../../functions/kit/define-event.ts';

/** The same bot for Baton: it wants what the other gets. */
export default defineEvent('GUILD_UPDATE', () => {});
