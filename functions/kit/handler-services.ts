import { API } from '@discordjs/core';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';
import type { FunctionsConfig } from '../../shared/config.ts';
import { createDiscordRest } from '../../shared/discord-rest.ts';
import { Directory } from '../../shared/directory/directory.ts';
import { BatonError } from '../../shared/errors.ts';
import type { FleetAccess } from './fleet-access.ts';
import type { HandlerServices } from './handler-context.ts';

export interface HandlerServicesOptions {
  readonly config: FunctionsConfig;
  readonly documents: DynamoDBDocumentClient;
  readonly clock: Clock;
}

/** What handlers reach the world with, in a Lambda environment or a local fleet. */
export function createHandlerServices({ config, documents, clock }: HandlerServicesOptions): HandlerServices {
  const api = new API(createDiscordRest(config));
  const table = { name: config.directoryTable, documents };
  return {
    api,
    table,
    directory: new Directory({
      documents,
      table: table.name,
      clock,
      api,
      keepsMembers: config.directoryEntities.has('members'),
    }),
    fleet: unconnectedFleet,
  };
}

const unconnected = async (): Promise<never> => {
  throw new BatonError('COMMAND_REFUSED', 'this function has no connection to the workers');
};

const unconnectedFleet: FleetAccess = {
  updatePresence: unconnected,
  updateVoiceState: unconnected,
  requestMembers: unconnected,
  send: unconnected,
  sendToGuild: unconnected,
  broadcast: unconnected,
};
