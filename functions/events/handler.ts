import { handlerFiles } from '#handlers';
import { createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { withBotSecret } from '../../shared/bot-secret.ts';
import { systemClock } from '../../shared/clock.ts';
import { readFunctionsConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { createDirectoryFold } from '../directory/directory-fold.ts';
import { createHandlerServices } from '../kit/handler-services.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { createRegistry } from '../kit/registry.ts';
import { StoredShards } from '../kit/shard-context.ts';
import { DynamoDBDeliveryMarks } from './dynamodb-delivery-marks.ts';
import { createEventsHandler } from './events-handler.ts';
import { SqsDeadLetters } from './sqs-dead-letters.ts';

const config = readFunctionsConfig(await withBotSecret(process.env));
const documents = createDynamoDBDocumentClient('general');
const sqs = createSqsClient('general');
const logger = createLambdaLogger('baton-events', config.logLevel);

/** Lambda entry of the events queue. A bad variable ends the start of the function with one line that names it. */
export const handler = createEventsHandler({
  registry: createRegistry(handlerFiles),
  deadLetters: new SqsDeadLetters(sqs, config.eventsDlq),
  marks: new DynamoDBDeliveryMarks(documents, config.directoryTable, systemClock),
  directory: createDirectoryFold(config, { documents, clock: systemClock }),
  services: createHandlerServices({ config, documents, sqs, clock: systemClock, random: systemRandom, logger }),
  shards: new StoredShards(new DynamoDbStore(documents, config.table, systemClock), systemClock),
  clock: systemClock,
  random: systemRandom,
  logger,
  consumerGuard: config.consumerGuard,
});
