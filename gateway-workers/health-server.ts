import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { Gauge, Registry } from 'prom-client';
import type { WorkerReport } from '../shared/coordination/model.ts';
import { BatonError, messageOf } from '../shared/errors.ts';

/** The worker's state as the server shows it; `undefined` while it is not registered. */
export type ReadReport = () => WorkerReport | undefined;

/**
 * `GET /healthz` (200 while the worker is registered), `GET /readyz` (200 when every shard it holds is ready) and
 * `GET /metrics` (Prometheus text). Runs only when a port is asked for: workers have no inbound ports by default.
 */
export class HealthServer {
  readonly #server: Server;
  readonly #read: ReadReport;
  readonly #metrics: Registry;

  constructor(read: ReadReport) {
    this.#read = read;
    this.#metrics = workerMetrics(read);
    this.#server = createServer((request, response) => {
      const path = request.url?.split('?')[0] ?? '/';
      if (request.method !== 'GET') {
        response.writeHead(405, { allow: 'GET' }).end();
        return;
      }
      switch (path) {
        case '/healthz':
          this.#answer(response, this.#read() !== undefined);
          break;
        case '/readyz':
          this.#answer(response, this.#read()?.shards.every((shard) => shard.ready) ?? false);
          break;
        case '/metrics':
          this.#metrics.metrics().then(
            (text) => response.writeHead(200, { 'content-type': this.#metrics.contentType }).end(text),
            (error: unknown) => response.writeHead(500).end(messageOf(error)),
          );
          break;
        default:
          response.writeHead(404).end();
      }
    });
  }

  /** @throws {BatonError} `PORT_IN_USE` when `port` is taken. */
  async listen(port: number): Promise<void> {
    this.#server.listen(port);
    try {
      await once(this.#server, 'listening');
    } catch (error) {
      throw new BatonError('PORT_IN_USE', `BATON_HTTP_PORT=${port} cannot be opened: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #answer(response: ServerResponse, isGood: boolean): void {
    const report = this.#read();
    const notReady = report?.shards.filter((shard) => !shard.ready).map((shard) => shard.shard) ?? [];
    response
      .writeHead(isGood ? 200 : 503, { 'content-type': 'application/json' })
      .end(JSON.stringify({ ok: isGood, worker: report?.workerId, shards: report?.shards.length ?? 0, notReady }));
  }
}

/** Gauges that are read off the worker whenever somebody asks. */
function workerMetrics(read: ReadReport): Registry {
  const registry = new Registry();
  const gauge = (name: string, help: string, value: (report: WorkerReport) => number) => {
    const metric = new Gauge({
      name,
      help,
      registers: [],
      collect() {
        const report = read();
        if (report) this.set(value(report));
        else this.reset();
      },
    });
    registry.registerMetric(metric);
  };
  gauge('baton_shards_held', 'Shards this worker holds', ({ shards }) => shards.length);
  gauge(
    'baton_shards_ready',
    'Shards of it that are ready',
    ({ shards }) => shards.filter(({ ready }) => ready).length,
  );
  gauge('baton_guilds', 'Guilds on the shards of this worker', ({ shards }) =>
    sum(shards, ({ guildCount }) => guildCount),
  );
  gauge('baton_events_per_second', 'Dispatches read a second', ({ eventsPerSecond }) => eventsPerSecond);
  gauge('baton_buffered_events', 'Events read and not in SQS yet', ({ shards }) =>
    sum(shards, ({ bufferedEvents }) => bufferedEvents),
  );
  gauge('baton_gateway_latency_ms', 'Highest heartbeat latency of a shard', ({ shards }) =>
    Math.max(0, ...shards.map(({ latencyMs }) => latencyMs)),
  );
  gauge('baton_members', 'Members of these guilds', ({ shards }) =>
    sum(shards, ({ figures }) => figures?.memberCount ?? 0),
  );
  gauge('baton_commands_per_second', 'Interactions read a second', ({ figures }) => figures?.commandsPerSecond ?? 0);
  gauge('baton_identifies', 'IDENTIFYs since the worker started', ({ figures }) => figures?.identifies ?? 0);
  gauge('baton_resumes', 'RESUMEs since the worker started', ({ figures }) => figures?.resumes ?? 0);
  gauge('baton_reconnects', 'Sockets dialled after the first of a shard', ({ figures }) => figures?.reconnects ?? 0);
  gauge('baton_flush_ms', 'Longest time SQS took for a batch lately', ({ figures }) => figures?.flushMs ?? 0);
  gauge('baton_queue_age_ms', 'Age of the oldest envelope not in SQS yet', ({ figures }) => figures?.queueAgeMs ?? 0);
  gauge('baton_uptime_ms', 'Since the worker registered', ({ figures }) => figures?.uptimeMs ?? 0);
  gauge('baton_coordinator', '1 while this worker is the coordinator', ({ coordinator }) => Number(coordinator));
  gauge('baton_cpu_percent', 'CPU of this process, percent of a core', ({ cpuPercent }) => cpuPercent);
  gauge('baton_memory_mb', 'Resident memory of this process', ({ memoryMb }) => memoryMb);
  return registry;
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
