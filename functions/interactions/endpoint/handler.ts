import { handlerFiles } from '#handlers';
import { createDynamoDBDocumentClient } from '../../../shared/aws-clients.ts';
import { withBotSecret } from '../../../shared/bot-secret.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readEndpointConfig } from '../../../shared/config.ts';
import { DynamoDbStore } from '../../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../../shared/random.ts';
import { createHandlerServices } from '../../kit/handler-services.ts';
import { createLambdaLogger } from '../../kit/lambda-logger.ts';
import { createRegistry } from '../../kit/registry.ts';
import { StoredShards } from '../../kit/shard-context.ts';
import { InteractionClaims } from '../interaction-claims.ts';
import { GuildShards } from './guild-shards.ts';
import { createInteractionsEndpoint } from './interactions-endpoint.ts';
import { streamed } from './lambda-streaming.ts';
import { RequestSignature } from './request-signature.ts';

const config = readEndpointConfig(await withBotSecret(process.env));
const documents = createDynamoDBDocumentClient('general');
const store = new DynamoDbStore(documents, config.table, systemClock);
const logger = createLambdaLogger('baton-interactions-endpoint', config.logLevel);

/** Lambda entry of the function URL. A bad variable ends the start of the function with one line that names it. */
export const handler = streamed(
  createInteractionsEndpoint({
    registry: createRegistry(handlerFiles),
    signature: new RequestSignature(config.publicKey),
    claims: new InteractionClaims(documents, config.directoryTable, systemClock, systemRandom),
    services: createHandlerServices({ config, documents, clock: systemClock, random: systemRandom, logger }),
    shards: new GuildShards({ store, shards: new StoredShards(store, systemClock), clock: systemClock, logger }),
    clock: systemClock,
    random: systemRandom,
    logger,
  }),
);
