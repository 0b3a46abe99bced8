import { Token } from 'aws-cdk-lib';
import { readDirectoryConfig, readWorkerConfig } from '../shared/config.ts';
import { messageOf } from '../shared/errors.ts';
import type { BatonFleetProps } from './baton-fleet.ts';
import { countedLogLevels } from './log-metrics.ts';
import { handlersFolder, handlersProblem } from './handler-lists.ts';

/** Variables that the stack itself sets; `workerEnvironment` may hold any other of a worker. */
export const setByTheStack: readonly string[] = [
  'BATON_FLEET',
  'BATON_TABLE',
  'BATON_DIRECTORY',
  'BATON_DIRECTORY_TABLE',
  'BATON_EVENTS_QUEUE',
  'BATON_INTERACTIONS_QUEUE',
  'BATON_TOTAL_SHARDS',
  'BATON_MAX_SHARDS',
  'BATON_STOP_TIMEOUT_MS',
  'BATON_HTTP_PORT',
  'BATON_LOG_LEVEL',
  'DISCORD_TOKEN',
];

/** CPU units of a Fargate task to the memory in MiB that it may have (ECS, "Task CPU and memory"). */
const fargateMemory: Readonly<Record<number, { minMb: number; maxMb: number; stepMb: number }>> = {
  256: { minMb: 512, maxMb: 2048, stepMb: 512 },
  512: { minMb: 1024, maxMb: 4096, stepMb: 1024 },
  1024: { minMb: 2048, maxMb: 8192, stepMb: 1024 },
  2048: { minMb: 4096, maxMb: 16_384, stepMb: 1024 },
  4096: { minMb: 8192, maxMb: 30_720, stepMb: 1024 },
};

/**
 * Checks the settings of a fleet as far as they are known at synthesis, those for the worker with the worker's own
 * rules. `region`: that of the stack. @throws {Error} with one line that names every wrong setting.
 */
export function checkFleetSettings(props: BatonFleetProps, region: string): void {
  const problems = [...capacityProblems(props), ...workerProblems(props), ...otherProblems(props, region)];
  if (problems.length > 0) throw new Error(`BatonFleet: ${problems.join('; ')}`);
}

function capacityProblems({ capacity }: BatonFleetProps): string[] {
  const { cpu, memoryMb, minWorkers, maxWorkers, spotShare } = capacity;
  const problems: string[] = [];
  const memory = fargateMemory[cpu];
  if (memory === undefined) {
    problems.push(`capacity.cpu=${cpu} must be one of ${Object.keys(fargateMemory).join(', ')}`);
  } else if (!(memoryMb >= memory.minMb && memoryMb <= memory.maxMb && memoryMb % memory.stepMb === 0)) {
    problems.push(
      `capacity.memoryMb=${memoryMb} must be ${memory.minMb} to ${memory.maxMb} in steps of ${memory.stepMb} with cpu=${cpu}`,
    );
  }
  if (!isWhole(minWorkers, 1, 5000))
    problems.push(`capacity.minWorkers=${minWorkers} must be a whole number from 1 to 5000`);
  if (!isWhole(maxWorkers, 1, 5000) || maxWorkers < minWorkers) {
    problems.push(`capacity.maxWorkers=${maxWorkers} must be a whole number from minWorkers=${minWorkers} to 5000`);
  }
  if (!(spotShare >= 0 && spotShare <= 1))
    problems.push(`capacity.spotShare=${spotShare} must be a number from 0 to 1`);
  return problems;
}

function workerProblems(props: BatonFleetProps): string[] {
  const { fleet, capacity, totalShards, logLevel, workerEnvironment = {} } = props;
  const { directoryEntities, directoryPreload } = props;
  const taken = Object.keys(workerEnvironment).filter((name) => setByTheStack.includes(name));
  const problems = taken.map((name) => `workerEnvironment.${name} is set by the stack: use its props`);
  try {
    readWorkerConfig({
      ...workerEnvironment,
      DISCORD_TOKEN: 'not-known-at-synthesis',
      BATON_FLEET: fleet,
      ...(totalShards !== undefined && { BATON_TOTAL_SHARDS: String(totalShards) }),
      ...(capacity.maxShards !== undefined && { BATON_MAX_SHARDS: String(capacity.maxShards) }),
      ...(logLevel !== undefined && { BATON_LOG_LEVEL: logLevel }),
    });
    readDirectoryConfig({
      DISCORD_TOKEN: 'not-known-at-synthesis',
      ...(directoryEntities !== undefined && { BATON_DIRECTORY: directoryEntities }),
      ...(directoryPreload !== undefined && { BATON_DIRECTORY_PRELOAD: directoryPreload }),
    });
  } catch (error) {
    problems.push(messageOf(error));
  }
  return problems;
}

function otherProblems(props: BatonFleetProps, region: string): string[] {
  const { secretArn, secretEncryptionKey, tableEncryptionKey } = props;
  const { eventsConcurrency, interactionsConcurrency = 50, endpointReservedConcurrency: endpoint } = props;
  const { interactionsReservedConcurrency: reserved, functionMemoryMb, logLevel, alarmEmail } = props;
  const problems = [handlersProblem(handlersFolder(props.handlers))].filter((problem) => problem !== undefined);
  if (secretArn !== undefined && !Token.isUnresolved(secretArn) && !/^arn:[\w-]+:secretsmanager:/.test(secretArn)) {
    problems.push(`secretArn=${secretArn} must be the ARN of a Secrets Manager secret`);
  }
  if (secretEncryptionKey !== undefined && secretArn === undefined) {
    problems.push('secretEncryptionKey is that of the secret that secretArn names, and there is none');
  }
  if (tableEncryptionKey !== undefined && Token.isUnresolved(region)) {
    problems.push('tableEncryptionKey needs a stack whose Region is known: give the stack an env');
  }
  if (logLevel !== undefined && !countedLogLevels.includes(logLevel)) {
    problems.push(`logLevel=${logLevel} must be one of ${countedLogLevels.join(', ')}: alarms count log lines`);
  }
  if (alarmEmail !== undefined && !Token.isUnresolved(alarmEmail) && !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(alarmEmail)) {
    problems.push(`alarmEmail=${alarmEmail} must be an address such as ops@example.com`);
  }
  const wholeNumbers = [
    ['eventsConcurrency', eventsConcurrency, 2, 1000],
    ['interactionsConcurrency', interactionsConcurrency, 2, 1000],
    ['endpointReservedConcurrency', endpoint, 2, 1000],
    ['functionMemoryMb', functionMemoryMb, 128, 10_240],
  ] as const;
  for (const [name, value, min, max] of wholeNumbers) {
    if (value === undefined || isWhole(value, min, max)) continue;
    problems.push(`${name}=${value} must be a whole number from ${min} to ${max}`);
  }
  // With fewer, Lambda would refuse invocations for messages that it has taken; those come again after 90 s.
  if (reserved !== undefined && !isWhole(reserved, interactionsConcurrency, 1000)) {
    problems.push(
      `interactionsReservedConcurrency=${reserved} must be a whole number from interactionsConcurrency=${interactionsConcurrency} to 1000`,
    );
  }
  return problems;
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
