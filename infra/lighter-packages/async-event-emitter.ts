/** The emitter of Node.js in place of `@vladfrangu/async_event_emitter`: all that `@discordjs/rest` calls are its methods. */
export { EventEmitter as AsyncEventEmitter } from 'node:events';
