import { startEmbeddedCloud, type EmbeddedCloud } from '../local/cloud/embedded-cloud.ts';
import { createDynamoDBClient, createSqsClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { type GatewayCompression, readFunctionsConfig } from '../shared/config.ts';
import { provision } from '../shared/provision.ts';
import { ChildProgram } from './child-program.ts';
import { SqsSink } from './sqs-sink.ts';
import { TapePlayer } from './tape-player.ts';
import { makeTape, type Mix, type TrafficTape } from './traffic-tape.ts';
import type { WorkerUsage } from './worker-program.ts';

export interface WorkerLoad {
  readonly mix: Mix;
  readonly compress: GatewayCompression;
  readonly shards: number;
  readonly eventsPerShard: number;
}

/** One real worker process between a gateway that plays tapes and a queue that takes everything. */
export class WorkerUnderLoad {
  readonly player: TapePlayer;
  readonly sink: SqsSink;
  /** From the write to the socket to the arrival at the sink, of the last event of each envelope. */
  readonly latenciesMs: number[] = [];
  readonly #cloud: EmbeddedCloud;
  readonly #sinkUrl: string;
  #tape: TrafficTape | undefined;

  static async start(): Promise<WorkerUnderLoad> {
    const cloud = await startEmbeddedCloud();
    const player = new TapePlayer();
    await player.listen();
    const sink = new SqsSink(cloud.environment['AWS_ENDPOINT_URL_SQS'] as string);
    const load = new WorkerUnderLoad(cloud, player, sink, await sink.listen());
    sink.onEnvelope = ({ shard, first, last }, atMs) => load.#noteLatency(shard[0], first, last, atMs);
    return load;
  }

  private constructor(cloud: EmbeddedCloud, player: TapePlayer, sink: SqsSink, sinkUrl: string) {
    this.#cloud = cloud;
    this.player = player;
    this.sink = sink;
    this.#sinkUrl = sinkUrl;
  }

  #noteLatency(shardId: number, first: number, last: number, atMs: number): void {
    const { firstSeq = 0 } = this.#tape ?? {};
    for (const seq of [first, last]) {
      const sentAtMs = this.player.sentAtMs[shardId]?.[seq - firstSeq];
      if (sentAtMs) this.latenciesMs.push(atMs - sentAtMs);
    }
  }

  /** What everybody hears from now on. */
  load({ mix, compress, shards, eventsPerShard }: WorkerLoad): void {
    this.#tape = makeTape(mix, compress, eventsPerShard, `ws://127.0.0.1:${this.player.port}`);
    this.player.load(this.#tape, shards);
  }

  /** Starts a worker in a fleet of its own, and resolves when all its shards listen. */
  async startWorker(
    { compress, shards }: WorkerLoad,
    { env = {}, execArgv = [] }: { env?: Readonly<Record<string, string>>; execArgv?: readonly string[] } = {},
  ): Promise<ChildProgram<'usage', WorkerUsage>> {
    this.player.hangUp();
    const worker = await startWorkerProcess(
      this.#cloud,
      this.#sinkUrl,
      {
        DISCORD_TOKEN: 'Ym90.bench.token',
        DISCORD_API_URL: `http://127.0.0.1:${this.player.port}/api/v10`,
        BATON_COMPRESS: compress,
        ...env,
      },
      execArgv,
    );
    const untilMs = systemClock.monotonicMs() + 60_000;
    while (this.player.listening < shards) {
      if (systemClock.monotonicMs() > untilMs) {
        await worker.end();
        throw new Error(`only ${this.player.listening} of ${shards} shards came up`);
      }
      await systemClock.sleep(20);
    }
    return worker;
  }

  async stop(): Promise<void> {
    await this.player.close();
    await this.sink.close();
    await this.#cloud.stop();
  }
}

/** Starts a worker in a fleet of its own: DynamoDB is the embedded one, what goes to SQS ends in the sink. */
export async function startWorkerProcess(
  cloud: EmbeddedCloud,
  sinkUrl: string,
  settings: Readonly<Record<string, string>>,
  execArgv: readonly string[] = [],
): Promise<ChildProgram<'usage', WorkerUsage>> {
  const environment = {
    ...cloud.environment,
    BATON_FLEET: `bench${Math.round(systemClock.wallClockMs()).toString(36)}`,
    BATON_EVENT_TYPES: '*',
    BATON_LOG_LEVEL: 'error',
    BATON_WORKER_ID: 'bench',
    ...settings,
  };
  const aws = { region: 'us-east-1', credentials: { accessKeyId: 'embedded', secretAccessKey: 'embedded' } };
  const dynamodb = createDynamoDBClient('general', {
    ...aws,
    endpoint: cloud.environment['AWS_ENDPOINT_URL_DYNAMODB'] as string,
  });
  const sqs = createSqsClient('general', { ...aws, endpoint: cloud.environment['AWS_ENDPOINT_URL_SQS'] as string });
  await provision(readFunctionsConfig(environment), { dynamodb, sqs });
  dynamodb.destroy();
  sqs.destroy();
  return new ChildProgram<'usage', WorkerUsage>('worker-program.ts', {
    env: { ...environment, AWS_ENDPOINT_URL_SQS: sinkUrl },
    execArgv,
  });
}
