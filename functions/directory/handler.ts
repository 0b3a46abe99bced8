import { createDynamoDBDocumentClient } from '../../shared/aws-clients.ts';
import { withBotSecret } from '../../shared/bot-secret.ts';
import { systemClock } from '../../shared/clock.ts';
import { readDirectoryConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { createDirectoryHandler } from './directory-handler.ts';

const config = readDirectoryConfig(await withBotSecret(process.env));
const documents = createDynamoDBDocumentClient('general');

/** Lambda entry of the schedule. A bad variable ends the start of the function with one line that names it. */
export const handler = createDirectoryHandler({
  config,
  documents,
  store: new DynamoDbStore(documents, config.table),
  clock: systemClock,
  random: systemRandom,
  logger: createLambdaLogger('baton-directory', config.logLevel),
});
