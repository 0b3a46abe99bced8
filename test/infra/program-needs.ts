import { join } from 'node:path';
import { buildSync } from 'esbuild';
import { type ProgramName, programs, repositoryRoot } from '../../infra/bundle.ts';
import { shardMessageType } from '../../shared/control/shard-messages.ts';
import type { BatonErrorCode } from '../../shared/errors.ts';

/** IAM actions that a command of the AWS SDK needs, by the name of its class. */
const actionsOfCommand: Readonly<Record<string, readonly string[]>> = {
  BatchGetCommand: ['dynamodb:BatchGetItem'],
  BatchWriteCommand: ['dynamodb:BatchWriteItem'],
  DeleteCommand: ['dynamodb:DeleteItem'],
  GetCommand: ['dynamodb:GetItem'],
  PutCommand: ['dynamodb:PutItem'],
  QueryCommand: ['dynamodb:Query'],
  ScanCommand: ['dynamodb:Scan'],
  UpdateCommand: ['dynamodb:UpdateItem'],
  // With tags, which every control queue has, creating one needs the second action too.
  CreateQueueCommand: ['sqs:CreateQueue', 'sqs:TagQueue'],
  DeleteMessageBatchCommand: ['sqs:DeleteMessage'],
  DeleteMessageCommand: ['sqs:DeleteMessage'],
  DeleteQueueCommand: ['sqs:DeleteQueue'],
  GetQueueAttributesCommand: ['sqs:GetQueueAttributes'],
  ReceiveMessageCommand: ['sqs:ReceiveMessage'],
  SendMessageBatchCommand: ['sqs:SendMessage'],
  SendMessageCommand: ['sqs:SendMessage'],
  DescribeServicesCommand: ['ecs:DescribeServices'],
  UpdateServiceCommand: ['ecs:UpdateService'],
  GetMetricStatisticsCommand: ['cloudwatch:GetMetricStatistics'],
  GetSecretValueCommand: ['secretsmanager:GetSecretValue'],
  // Asked for queues that are given by name; the stack gives URLs, and a test holds it to that.
  GetQueueUrlCommand: [],
};

/** The type of dispatch that carries messages between shards. */
const dispatchTypes: readonly string[] = [shardMessageType];
/** Error codes that look like variables. */
const errorCodes: readonly BatonErrorCode[] = ['DISCORD_UNAUTHORIZED', 'DISCORD_UNREACHABLE'];

export interface ProgramNeeds {
  /** IAM actions of every AWS request that the program can send. */
  readonly actions: readonly string[];
  /** Environment variables of ours that it can read. */
  readonly variables: readonly string[];
}

/**
 * What our code in a shipped program can ask of AWS and of its environment. It is read off the program's own bundle,
 * with packages left out and unreachable code removed, so no test run needs to come by every line.
 * @throws {Error} for a command whose actions are not listed above.
 */
export function needsOf(program: ProgramName): ProgramNeeds {
  const { outputFiles } = buildSync({
    absWorkingDir: repositoryRoot,
    entryPoints: [join(repositoryRoot, programs[program])],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    packages: 'external',
    treeShaking: true,
    write: false,
  });
  const code = outputFiles.map(({ text }) => text).join('\n');
  // A digit behind the name is esbuild's, where two files import the same class.
  const commands = new Set(Array.from(code.matchAll(/new (\w+Command)\d*\(/g), ([, name]) => name as string));
  const variables = new Set(
    Array.from(code.matchAll(/["'.]((?:BATON|DISCORD)_[A-Z_]+)\b/g), ([, name]) => name as string),
  );
  return {
    actions: unique([...commands].flatMap(actionsOf)),
    variables: unique([...variables]).filter((name) => !isErrorCode(name) && !dispatchTypes.includes(name)),
  };
}

function isErrorCode(name: string): boolean {
  return (errorCodes as readonly string[]).includes(name);
}

function actionsOf(command: string): readonly string[] {
  const actions = actionsOfCommand[command];
  if (actions === undefined) throw new Error(`${command} is sent by our code: list its IAM actions in this file`);
  return actions;
}

export function unique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}
