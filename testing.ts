/** What handlers are tested with: `import { TestBot } from 'baton/testing'`. */
export {
  TestAnswers,
  TestBot,
  type TestBotOptions,
  type TestEntity,
  type TestFleetCall,
  type TestMessage,
  type TestRequest,
} from './functions/kit/test-bot.ts';
