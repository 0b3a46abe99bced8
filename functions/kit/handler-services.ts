import { API } from '@discordjs/core';
import type { FunctionsConfig } from '../../shared/config.ts';
import { createDiscordRest } from '../../shared/discord-rest.ts';
import { Directory } from '../../shared/directory/directory.ts';
import type { FleetAccess } from './fleet-access.ts';
import type { ConnectFleetOptions } from './handler-fleet.ts';
import type { HandlerServices } from './handler-context.ts';

export interface HandlerServicesOptions extends ConnectFleetOptions {
  readonly config: FunctionsConfig;
}

/** What handlers reach the world with, in a Lambda environment or a local fleet. */
export function createHandlerServices(options: HandlerServicesOptions): HandlerServices {
  const { config, documents, clock } = options;
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
    fleet: fleetOnDemand(options),
  };
}

/** Most handlers never ask for the fleet: its code, and the client of SQS, are loaded when one does. */
function fleetOnDemand(options: ConnectFleetOptions): FleetAccess {
  let connected: Promise<FleetAccess> | undefined;
  const connect = (): Promise<FleetAccess> => {
    connected ??= import('./handler-fleet.ts')
      .then(({ connectHandlerFleet }) => connectHandlerFleet(options))
      .catch((error: unknown) => {
        connected = undefined;
        throw error;
      });
    return connected;
  };
  return {
    updatePresence: async (...args) => (await connect()).updatePresence(...args),
    updateVoiceState: async (...args) => (await connect()).updateVoiceState(...args),
    requestMembers: async (...args) => (await connect()).requestMembers(...args),
    query: async (...args) => (await connect()).query(...args),
    send: async (...args) => (await connect()).send(...args),
    sendToGuild: async (...args) => (await connect()).sendToGuild(...args),
    broadcast: async (...args) => (await connect()).broadcast(...args),
  };
}
