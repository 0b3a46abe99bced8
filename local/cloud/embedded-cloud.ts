import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import { moduleExtension } from '../../shared/module-extension.ts';
import { EmulatorProcess } from './emulator-process.ts';

export interface EmbeddedCloudOptions {
  /** Where tables and queues are kept from one run to the next; memory when not given. */
  readonly dataDirectory?: string | undefined;
  /**
   * `local`: the vendor's DynamoDB Local, stricter than the embedded emulator; it needs Java 17, and npx fetches it.
   * @default 'embedded'
   */
  readonly dynamodb?: 'embedded' | 'local';
  /** Stops the cloud when it aborts. */
  readonly signal?: AbortSignal | undefined;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

const startWithinMs = 15_000;
/** The first start downloads it. */
const dynamodbLocalWithinMs = 180_000;

const region = 'us-east-1';

/** Credentials that every emulator accepts, and the AWS SDK's other settings at what the emulators can follow. */
const credentials = {
  AWS_REGION: region,
  AWS_ACCESS_KEY_ID: 'embedded',
  AWS_SECRET_ACCESS_KEY: 'embedded',
  AWS_SESSION_TOKEN: '',
  AWS_PROFILE: '',
  AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'false',
  AWS_USE_FIPS_ENDPOINT: 'false',
  AWS_USE_DUALSTACK_ENDPOINT: 'false',
};

/** DynamoDB and SQS on this machine, each in a child process on a free port of 127.0.0.1. */
export class EmbeddedCloud {
  /** What a process that is to use this cloud needs in its environment; the AWS SDK reads it. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * Rejects with a `BatonError` (`EMULATOR_FAILED`) when an emulator dies by itself. Race it against the work that
   * needs the cloud: unhandled, it ends the process, because going on without a store can only mislead.
   */
  readonly failed: Promise<never>;
  readonly #emulators: readonly EmulatorProcess[];

  constructor(dynamodb: EmulatorProcess, sqs: EmulatorProcess) {
    this.#emulators = [dynamodb, sqs];
    this.environment = {
      ...credentials,
      AWS_ENDPOINT_URL_DYNAMODB: dynamodb.url,
      AWS_ENDPOINT_URL_SQS: sqs.url,
    };
    this.failed = Promise.race([dynamodb.failed, sqs.failed]);
  }

  /** Process ids of the emulators. */
  get pids(): readonly number[] {
    return this.#emulators.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
  }

  /** Ends the emulators; resolves when their processes are gone. Safe to call again. */
  async stop(): Promise<void> {
    await Promise.all(this.#emulators.map((emulator) => emulator.stop()));
  }
}

/**
 * Starts the embedded cloud; resolves when both services answer. Tables and queues are made by `provision`.
 * @throws {BatonError} `EMULATOR_FAILED` when an emulator does not start, e.g. because its data directory is in use.
 */
export async function startEmbeddedCloud(options: EmbeddedCloudOptions = {}): Promise<EmbeddedCloud> {
  const { dataDirectory, dynamodb: whichDynamodb, signal, logger = silentLogger, clock = systemClock } = options;
  const start = async (
    name: string,
    program: string,
    folder: string,
    withinMs = startWithinMs,
  ): Promise<EmulatorProcess> => {
    const ownDirectory = dataDirectory === undefined ? undefined : join(dataDirectory, folder);
    if (ownDirectory !== undefined) await mkdir(ownDirectory, { recursive: true });
    return EmulatorProcess.start({
      name,
      program: new URL(`${program}${moduleExtension}`, import.meta.url),
      dataDirectory: ownDirectory,
      environment: credentials,
      logger,
      clock,
      startWithinMs: withinMs,
    });
  };
  const [dynamodb, sqs] = await Promise.allSettled([
    whichDynamodb === 'local'
      ? start('DynamoDB Local', './dynamodb-local-emulator', 'dynamodb-local', dynamodbLocalWithinMs)
      : start('DynamoDB emulator', './dynamodb-emulator', 'dynamodb'),
    start('SQS emulator', './sqs-emulator', 'sqs'),
  ]);
  if (dynamodb.status === 'rejected' || sqs.status === 'rejected') {
    for (const started of [dynamodb, sqs]) if (started.status === 'fulfilled') await started.value.stop();
    throw dynamodb.status === 'rejected' ? dynamodb.reason : (sqs as PromiseRejectedResult).reason;
  }
  const cloud = new EmbeddedCloud(dynamodb.value, sqs.value);
  stopOnAbort(cloud, signal, logger);
  return cloud;
}

function stopOnAbort(cloud: EmbeddedCloud, signal: AbortSignal | undefined, logger: Logger): void {
  const stop = () => {
    cloud.stop().catch((error: unknown) => logger.error({ err: error }, 'the embedded cloud did not stop'));
  };
  if (signal?.aborted) stop();
  else signal?.addEventListener('abort', stop, { once: true });
}
