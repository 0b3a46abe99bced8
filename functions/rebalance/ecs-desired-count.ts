import { DescribeServicesCommand, type ECSClient, UpdateServiceCommand } from '@aws-sdk/client-ecs';
import type { ServiceConfig } from '../../shared/config.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { DesiredCount, WorkerCountAdvice } from './worker-count.ts';

interface ServiceState {
  readonly desiredCount: number;
  /** Old and new tasks run side by side, so what runs says nothing about what is needed. */
  readonly isDeploying: boolean;
}

/** The desired count of the workers' ECS service, kept within the bounds that the stack gives. */
export class EcsDesiredCount implements DesiredCount {
  readonly #client: ECSClient;
  readonly #config: ServiceConfig;
  readonly #logger: Logger;

  constructor(client: ECSClient, config: ServiceConfig, logger: Logger) {
    this.#client = client;
    this.#config = config;
    this.#logger = logger;
  }

  /** Never rejects: a round that has moved shards is no failure because ECS cannot be reached; the next one tries again. */
  async advise(advice: WorkerCountAdvice): Promise<void> {
    try {
      const service = await this.#describe();
      const count = wantedCount(advice, service, this.#config);
      if (count === service.desiredCount) return;
      await this.#client.send(
        new UpdateServiceCommand({ cluster: this.#config.cluster, service: this.#config.service, desiredCount: count }),
      );
      this.#logger.info({ from: service.desiredCount, to: count, advice }, 'rebalance.worker_count_set');
    } catch (error) {
      this.#logger.error({ advice, error: messageOf(error) }, 'rebalance.worker_count_not_set');
    }
  }

  async #describe(): Promise<ServiceState> {
    const { cluster, service } = this.#config;
    const { services } = await this.#client.send(new DescribeServicesCommand({ cluster, services: [service] }));
    const [found] = services ?? [];
    if (found?.desiredCount === undefined) {
      throw new BatonError('CONFIG_INVALID', `BATON_ECS_SERVICE=${service} is no service of cluster ${cluster}`);
    }
    return { desiredCount: found.desiredCount, isDeploying: (found.deployments?.length ?? 0) > 1 };
  }
}

/** Advice and bounds in one number. Nothing is taken away while a deployment runs. */
export function wantedCount(
  advice: WorkerCountAdvice,
  { desiredCount, isDeploying }: ServiceState,
  { minWorkers, maxWorkers }: Pick<ServiceConfig, 'minWorkers' | 'maxWorkers'>,
): number {
  const advised = advisedCount(advice, desiredCount);
  const count = isDeploying ? Math.max(advised, desiredCount) : advised;
  return Math.min(maxWorkers, Math.max(minWorkers, count));
}

function advisedCount(advice: WorkerCountAdvice, desiredCount: number): number {
  switch (advice.kind) {
    case 'keep':
      return desiredCount;
    case 'atLeast':
      return Math.max(desiredCount, advice.count);
    case 'atMost':
      return Math.min(desiredCount, advice.count);
  }
}
