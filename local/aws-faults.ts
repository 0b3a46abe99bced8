import type { Clock } from '../shared/clock.ts';
import type { Random } from '../shared/random.ts';
import { type AwsService, FaultProxy, type ImposedFault, type RequestFault } from './cloud/fault-proxy.ts';

/** A way in which AWS can fail a worker; `probability` is the share of the requests that it strikes. */
export type AwsOutage = (RequestFault & { readonly probability: number }) | { readonly kind: 'refuse' };

const endpointVariables = { dynamodb: 'AWS_ENDPOINT_URL_DYNAMODB', sqs: 'AWS_ENDPOINT_URL_SQS' } as const;
const services = ['dynamodb', 'sqs'] as const;

export interface AwsFaultsOptions {
  readonly workerIds: readonly string[];
  /** The cloud's environment: where the endpoints are. */
  readonly cloud: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly random: Random;
}

/** A fault proxy per worker and service, so that AWS can fail one worker and serve the others. */
export class AwsFaults {
  readonly #proxies: ReadonlyMap<string, Readonly<Record<AwsService, FaultProxy>>>;

  static async start({ workerIds, cloud, clock, random }: AwsFaultsOptions): Promise<AwsFaults> {
    const start = (service: AwsService): Promise<FaultProxy> =>
      FaultProxy.start({ service, upstream: cloud[endpointVariables[service]] as string, clock, random });
    const proxies = new Map<string, Record<AwsService, FaultProxy>>();
    for (const workerId of workerIds) {
      proxies.set(workerId, { dynamodb: await start('dynamodb'), sqs: await start('sqs') });
    }
    return new AwsFaults(proxies);
  }

  private constructor(proxies: ReadonlyMap<string, Readonly<Record<AwsService, FaultProxy>>>) {
    this.#proxies = proxies;
  }

  get workerIds(): readonly string[] {
    return [...this.#proxies.keys()];
  }

  /** The endpoints for a worker's environment; nothing for one that has no proxies. */
  environmentOf(workerId: string): Record<string, string> {
    const own = this.#proxies.get(workerId);
    if (own === undefined) return {};
    return Object.fromEntries(services.map((service) => [endpointVariables[service], own[service].url]));
  }

  impose(workerIds: readonly string[], struck: readonly AwsService[], outage: AwsOutage): ImposedFault {
    const imposed: ImposedFault[] = [];
    for (const workerId of workerIds) {
      for (const service of struck) {
        const proxy = this.#proxies.get(workerId)?.[service];
        if (proxy === undefined) continue;
        const { kind } = outage;
        if (kind === 'refuse') imposed.push(proxy.refuseConnections());
        else imposed.push(proxy.impose(outage, { probability: outage.probability }));
      }
    }
    return {
      lift: () => {
        for (const fault of imposed) fault.lift();
      },
    };
  }

  /** Requests that each kind of fault has struck so far, of all workers together. */
  get struck(): Record<string, number> {
    const sums: Record<string, number> = {};
    for (const own of this.#proxies.values()) {
      for (const service of services) {
        for (const [kind, count] of own[service].struck) {
          const name = `${service} ${kind}`;
          sums[name] = (sums[name] ?? 0) + count;
        }
      }
    }
    return sums;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#proxies.values()].flatMap((own) => services.map((service) => own[service].stop())));
  }
}

/** An outage in words, for the report. */
export function describeOutage(outage: AwsOutage): string {
  const { kind } = outage;
  switch (kind) {
    case 'refuse':
      return 'refused connections';
    case 'loseAnswer':
      return `lost answers (${outage.how}) of ${percent(outage.probability)}`;
    case 'delay':
      return `passed ${percent(outage.probability)} on ${outage.byMs} ms late`;
    case 'duplicate':
      return `carried ${percent(outage.probability)} out again ${outage.afterMs} ms later`;
    case 'error':
      return `answered 500 to ${percent(outage.probability)}`;
    case 'throttle':
      return `throttled ${percent(outage.probability)}`;
    case 'hang':
      return `left ${percent(outage.probability)} unanswered`;
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} % of the requests`;
}
