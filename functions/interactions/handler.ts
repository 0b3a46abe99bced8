import { handlerFiles } from '#handlers';
import { createDynamoDBDocumentClient } from '../../shared/aws-clients.ts';
import { withBotSecret } from '../../shared/bot-secret.ts';
import { systemClock } from '../../shared/clock.ts';
import { readFunctionsConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { createHandlerServices } from '../kit/handler-services.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { createRegistry } from '../kit/registry.ts';
import { StoredShards } from '../kit/shard-context.ts';
import { InteractionClaims } from './interaction-claims.ts';
import { createInteractionsHandler } from './interactions-handler.ts';

const config = readFunctionsConfig(await withBotSecret(process.env));
const documents = createDynamoDBDocumentClient('general');
const logger = createLambdaLogger('baton-interactions', config.logLevel);

/** Lambda entry of the interactions queue. A bad variable ends the start of the function with one line that names it. */
export const handler = createInteractionsHandler({
  registry: createRegistry(handlerFiles),
  claims: new InteractionClaims(documents, config.directoryTable, systemClock, systemRandom),
  services: createHandlerServices({ config, documents, clock: systemClock, random: systemRandom, logger }),
  shards: new StoredShards(new DynamoDbStore(documents, config.table, systemClock), systemClock),
  clock: systemClock,
  random: systemRandom,
  logger,
});
