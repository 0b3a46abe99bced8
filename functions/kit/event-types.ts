import type { GatewayDispatchEvents, GatewayDispatchPayload } from 'discord-api-types/v10';

/** A dispatch type by Discord's name. Interactions are commands' business: they have their own queue. */
export type EventType = Exclude<`${GatewayDispatchEvents}`, 'INTERACTION_CREATE'>;

/** The `d` of the dispatches of one type. Some declarations of Discord's types cover several event types at once. */
export type EventData<T extends EventType> = DataIfCarries<GatewayDispatchPayload, T>;
type DataIfCarries<P extends GatewayDispatchPayload, T> = P extends unknown
  ? T extends `${P['t']}`
    ? P['d']
    : never
  : never;
