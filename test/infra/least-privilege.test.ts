import { describe, expect, test } from 'vitest';
import type { ProgramName } from '../../infra/bundle.ts';
import { needsOf, unique } from './program-needs.ts';
import { synthesizeFleet } from './synthesized-fleet.ts';
import {
  functionEnvironment,
  type PlainTemplate,
  plain,
  propertiesOf,
  roleOf,
  statementsOfRole,
  workerEnvironment,
} from './template-reader.ts';

const template = plain(synthesizeFleet().template);

interface DeployedProgram {
  readonly program: ProgramName;
  readonly roleId: string;
  readonly environment: Readonly<Record<string, unknown>>;
  /** What the platform does in the program's name, without the program's code. */
  readonly platformActions: readonly string[];
  readonly platformVariables: readonly string[];
}

const logging = ['logs:CreateLogStream', 'logs:PutLogEvents'];
const queuePolling = [
  'sqs:ChangeMessageVisibility',
  'sqs:DeleteMessage',
  'sqs:GetQueueAttributes',
  'sqs:GetQueueUrl',
  'sqs:ReceiveMessage',
];

function deployedFunction(program: ProgramName, platformActions: readonly string[]): DeployedProgram {
  const functionName = `baton-${program}`;
  const { Role } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: functionName });
  return {
    program,
    roleId: roleOf(Role),
    environment: functionEnvironment(template, functionName),
    platformActions,
    platformVariables: ['NODE_OPTIONS'].filter((name) => name in functionEnvironment(template, functionName)),
  };
}

const deployed: readonly DeployedProgram[] = [
  {
    program: 'worker',
    roleId: roleOf(propertiesOf(template, 'AWS::ECS::TaskDefinition')['TaskRoleArn']),
    environment: workerEnvironment(template),
    platformActions: [],
    platformVariables: ['AWS_REGION'],
  },
  deployedFunction('events', [...logging, ...queuePolling]),
  deployedFunction('interactions', [...logging, ...queuePolling]),
  deployedFunction('interactions-endpoint', logging),
  deployedFunction('rebalance', logging),
  deployedFunction('stats', logging),
  deployedFunction('operate', logging),
  deployedFunction('directory', logging),
];

/** What the stack leaves at the default that the code has. A variable is either here or in the stack. */
const leftAtDefault: Readonly<Partial<Record<ProgramName, readonly string[]>>> = {
  worker: [
    // Names of the deployment: ECS counts revisions, and the host's name tells tasks apart.
    'BATON_RELEASE',
    'BATON_WORKER_ID',
    // A fleet shares its shards out by itself.
    'BATON_ORIGINAL_COORDINATOR',
    'BATON_SHARD_IDS',
    'BATON_SHARD_MODE',
    'BATON_MAX_SHARDS',
    // Derived from the handlers.
    'BATON_EVENT_TYPES',
    'DISCORD_INTENTS',
    // Tuning, for `workerEnvironment`.
    'BATON_COMPRESS',
    'BATON_ENVELOPE_ENCODING',
    'BATON_EVAL',
    'BATON_HEARTBEAT_MS',
    'BATON_LINGER_MS',
    'BATON_MISSED_HEARTBEATS',
    'DISCORD_API_URL',
  ],
  // Read along with the names of the fleet, and not used by functions.
  events: ['BATON_INTERACTIONS_QUEUE', 'DISCORD_API_URL', 'DISCORD_TOKEN'],
  rebalance: [
    'BATON_DIRECTORY_TABLE',
    'BATON_EVENTS_QUEUE',
    'BATON_INTERACTIONS_QUEUE',
    // Those of the workers, where `workerEnvironment` has them.
    'BATON_HEARTBEAT_MS',
    'BATON_MISSED_HEARTBEATS',
  ],
  operate: [
    'BATON_DIRECTORY_TABLE',
    'BATON_INTERACTIONS_QUEUE',
    // Those of the workers, where `workerEnvironment` has them.
    'BATON_HEARTBEAT_MS',
    'BATON_MISSED_HEARTBEATS',
  ],
  stats: [
    'BATON_DIRECTORY_TABLE',
    // Those of the workers, where `workerEnvironment` has them.
    'BATON_HEARTBEAT_MS',
    'BATON_MISSED_HEARTBEATS',
  ],
  directory: ['BATON_INTERACTIONS_QUEUE', 'DISCORD_API_URL', 'DISCORD_TOKEN'],
  interactions: [
    'BATON_CONSUMER_GUARD',
    'BATON_EVENTS_DLQ',
    'BATON_INTERACTIONS_QUEUE',
    'DISCORD_API_URL',
    'DISCORD_TOKEN',
  ],
  'interactions-endpoint': [
    'BATON_CONSUMER_GUARD',
    'BATON_EVENTS_DLQ',
    'BATON_INTERACTIONS_QUEUE',
    'DISCORD_API_URL',
    // In the secret.
    'DISCORD_PUBLIC_KEY',
    'DISCORD_TOKEN',
  ],
};

/** Control queues are made, emptied and removed by workers. */
const onlyForWorkers = ['sqs:CreateQueue', 'sqs:DeleteQueue', 'sqs:TagQueue'];

/** Of classes that programs share, a bundle holds every method; these are for whoever has a control queue of its own. */
const notCalled: Readonly<Partial<Record<ProgramName, readonly string[]>>> = {
  rebalance: ['sqs:CreateQueue', 'sqs:DeleteMessage', 'sqs:ReceiveMessage', 'sqs:TagQueue'],
  events: onlyForWorkers,
  interactions: onlyForWorkers,
  'interactions-endpoint': [...onlyForWorkers, 'sqs:DeleteMessage', 'sqs:ReceiveMessage'],
  stats: ['dynamodb:DeleteItem', 'dynamodb:UpdateItem'],
  operate: ['sqs:CreateQueue', 'sqs:TagQueue'],
  directory: [...onlyForWorkers, 'sqs:DeleteMessage', 'sqs:ReceiveMessage'],
};

/** Actions that IAM gives for all resources or for none. */
const withoutResource = ['cloudwatch:GetMetricStatistics'];

function grantedActions(from: PlainTemplate, roleId: string): string[] {
  return unique(statementsOfRole(from, roleId).flatMap(({ Action }) => Action));
}

describe.each(deployed)('$program', ({ program, roleId, environment, platformActions, platformVariables }) => {
  const needs = needsOf(program);

  test('may do exactly what its code asks of AWS', () => {
    const called = needs.actions.filter((action) => !notCalled[program]?.includes(action));
    expect(grantedActions(template, roleId)).toEqual(unique([...called, ...platformActions]));
  });

  test('gets exactly the variables that its code reads', () => {
    const set = Object.keys(environment).filter((name) => !platformVariables.includes(name));
    expect(unique([...set, ...(leftAtDefault[program] ?? [])])).toEqual(needs.variables);
    expect(set.filter((name) => leftAtDefault[program]?.includes(name))).toEqual([]);
  });

  test('is told queues by URL, so it needs no right to look for them', () => {
    const queues = Object.entries(environment).filter(([name]) => /_(QUEUE|DLQ)$/.test(name));
    for (const [, value] of queues) {
      const { Ref = '' } = value as { Ref?: string };
      // The reference to a queue is its URL.
      expect(template.Resources[Ref]?.Type).toBe('AWS::SQS::Queue');
    }
  });

  test('is given resources by name, not by star', () => {
    for (const { Action, Resource } of statementsOfRole(template, roleId)) {
      if ([Action].flat().every((action) => withoutResource.includes(action))) continue;
      for (const resource of [Resource].flat()) expect(resource).not.toBe('*');
    }
  });
});

test('an action that is taken away is missed', () => {
  const { roleId } = deployed[0] as DeployedProgram;
  const crippled = JSON.parse(JSON.stringify(template).replace('"dynamodb:Query",', '')) as PlainTemplate;
  expect(needsOf('worker').actions.filter((each) => !grantedActions(crippled, roleId).includes(each))).toEqual([
    'dynamodb:Query',
  ]);
});

test('a variable that is taken away is missed', () => {
  const { environment } = deployed[0] as DeployedProgram;
  const { BATON_TABLE: _, ...crippled } = environment;
  const known = new Set([...Object.keys(crippled), ...(leftAtDefault.worker ?? [])]);
  expect(needsOf('worker').variables.filter((name) => !known.has(name))).toEqual(['BATON_TABLE']);
});

test('only the control queues of this fleet are reached by prefix', () => {
  const { roleId } = deployed[0] as DeployedProgram;
  const creating = statementsOfRole(template, roleId).find(({ Action }) => Action.includes('sqs:CreateQueue'));
  expect(JSON.stringify(creating?.Resource)).toContain(':baton-control-*"');
});

test('handlers delete replies and workers park frames, and neither touches other items by it', () => {
  const conditionsOf = (functionName: string, action: string) => {
    const { Role } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: functionName });
    return statementsOfRole(template, roleOf(Role))
      .filter(({ Action, Resource }) => [Action].flat().includes(action) && isCoordination(Resource))
      .map(({ Condition }) => Condition);
  };
  const isCoordination = (resource: unknown) => JSON.stringify(resource).includes('FleetCoordinationTable');
  const onReplies = { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['REPLY#*'] } };
  for (const name of ['baton-events', 'baton-interactions', 'baton-interactions-endpoint', 'baton-directory']) {
    expect(conditionsOf(name, 'dynamodb:DeleteItem')).toEqual([onReplies]);
  }
  const { roleId } = deployed[0] as DeployedProgram;
  const parking = statementsOfRole(template, roleId).filter(({ Resource }) =>
    JSON.stringify(Resource).includes('FleetDirectoryTable'),
  );
  expect(parking).toMatchObject([
    { Action: 'dynamodb:PutItem', Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['PARKED#*'] } } },
  ]);
});
