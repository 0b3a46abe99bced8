/** A fleet in a CDK app of one's own: `import { BatonFleet } from 'baton/infra'`. */
export { BatonFleet, type BatonFleetProps } from './infra/baton-fleet.ts';
export type { WorkerCapacity } from './infra/worker-service.ts';
