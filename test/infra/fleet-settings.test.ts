import type { CfnElement } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';
import { describe, expect, test } from 'vitest';
import type { BatonFleetProps } from '../../infra/baton-fleet.ts';
import { setByTheStack } from '../../infra/fleet-settings.ts';
import { stages } from '../../infra/stages.ts';
import { synthesizeFleet } from './synthesized-fleet.ts';
import { plain, propertiesOf, workerEnvironment } from './template-reader.ts';

const { capacity } = stages.prod;

describe('settings that are refused when the template is made', () => {
  test.each([
    [{ capacity: { ...capacity, cpu: 300 } }, 'capacity.cpu=300 must be one of 256, 512, 1024, 2048, 4096'],
    [{ capacity: { ...capacity, memoryMb: 1500 } }, 'capacity.memoryMb=1500 must be 1024 to 4096 in steps of 1024'],
    [{ capacity: { ...capacity, minWorkers: 0 } }, 'capacity.minWorkers=0'],
    [{ capacity: { ...capacity, maxWorkers: 1 } }, 'capacity.maxWorkers=1 must be a whole number from minWorkers=2'],
    [{ capacity: { ...capacity, spotShare: 75 } }, 'capacity.spotShare=75 must be a number from 0 to 1'],
    [{ capacity: { ...capacity, maxShards: 0 } }, 'BATON_MAX_SHARDS="0" must be'],
    [{ totalShards: 1.5 }, 'BATON_TOTAL_SHARDS="1.5" must be auto or a whole number'],
    [{ fleet: '9 lives' }, 'BATON_FLEET="9 lives" must be'],
    [{ secretArn: 'baton/discord' }, 'secretArn=baton/discord must be the ARN'],
    [{ secretEncryptionKey: {} as never }, 'secretEncryptionKey is that of the secret that secretArn names'],
    [{ directoryEntities: 'everything' }, 'BATON_DIRECTORY="everything" must be off or entities'],
    [{ directoryPreload: 'members' }, 'BATON_DIRECTORY must name them, too'],
    [{ eventsConcurrency: 1 }, 'eventsConcurrency=1 must be a whole number from 2 to 1000'],
    [{ interactionsConcurrency: 1001 }, 'interactionsConcurrency=1001 must be a whole number from 2 to 1000'],
    [
      { interactionsReservedConcurrency: 49 },
      'interactionsReservedConcurrency=49 must be a whole number from interactionsConcurrency=50 to 1000',
    ],
    [{ endpointReservedConcurrency: 1 }, 'endpointReservedConcurrency=1 must be a whole number from 2 to 1000'],
    [{ functionMemoryMb: 64 }, 'functionMemoryMb=64 must be a whole number from 128 to 10240'],
    [{ logLevel: 'error' as never }, 'logLevel=error must be one of warn, info, debug, trace'],
    [{ alarmEmail: 'notanaddress' }, 'alarmEmail=notanaddress must be an address'],
    [{ handlers: 'nowhere' }, /handlers=.*nowhere must be a folder/],
    [{ workerEnvironment: { BATON_LINGER_MS: 'soon' } }, 'BATON_LINGER_MS="soon" must be a whole number'],
    [{ workerEnvironment: { BATON_TABLE: 'mine' } }, 'workerEnvironment.BATON_TABLE is set by the stack'],
  ])('%j', (props, complaint) => {
    expect(() => synthesizeFleet(props)).toThrow(complaint);
  });

  test('are told all at once', () => {
    expect(() => synthesizeFleet({ totalShards: 0, capacity: { ...capacity, spotShare: -1 } })).toThrow(
      /spotShare=-1.*BATON_TOTAL_SHARDS="0"/,
    );
  });
});

test('every variable of the workers that the stack sets is refused there', () => {
  const { template } = synthesizeFleet({ capacity: { ...capacity, maxShards: 50 } });
  const set = Object.keys(workerEnvironment(plain(template))).filter((name) => name !== 'AWS_REGION');
  expect(set.sort()).toEqual([...setByTheStack].sort());
});

test('functions get the concurrency and memory that are asked for', () => {
  const { template } = synthesizeFleet({
    eventsConcurrency: 256,
    interactionsConcurrency: 20,
    interactionsReservedConcurrency: 20,
    functionMemoryMb: 768,
  });
  for (const MaximumConcurrency of [256, 20]) {
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', { ScalingConfig: { MaximumConcurrency } });
  }
  const memoryOf = (name: string) =>
    propertiesOf(plain(template), 'AWS::Lambda::Function', { FunctionName: `baton-${name}` })['MemorySize'];
  expect(['events', 'interactions', 'interactions-endpoint', 'stats'].map(memoryOf)).toEqual([768, 768, 1024, 512]);
});

test('prod keeps concurrency for interactions, dev none: a new account has none to keep', () => {
  const keptBy = (props: Partial<BatonFleetProps>) =>
    Object.values(plain(synthesizeFleet(props).template).Resources)
      .filter(({ Properties }) => 'ReservedConcurrentExecutions' in Properties)
      .map(({ Properties }) => Properties['FunctionName']);
  expect(keptBy({})).toEqual(['baton-interactions', 'baton-interactions-endpoint']);
  const none = { interactionsReservedConcurrency: undefined, endpointReservedConcurrency: undefined };
  expect(keptBy({ ...none, ...stages.dev })).toEqual([]);
});

test('a fleet that logs warnings alone logs what is counted none the less', () => {
  const template = plain(synthesizeFleet({ logLevel: 'warn' }).template);
  expect(workerEnvironment(template)['BATON_LOG_LEVEL']).toBe('info');
  for (const [name, ApplicationLogLevel] of [
    ['stats', 'INFO'],
    ['events', 'WARN'],
  ]) {
    const { LoggingConfig } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: `baton-${name}` });
    expect(LoggingConfig).toMatchObject({ ApplicationLogLevel });
  }
});

test('further variables reach the workers', () => {
  const { template } = synthesizeFleet({ workerEnvironment: { BATON_LINGER_MS: '500' }, totalShards: 32 });
  const [task] = Object.values(template.findResources('AWS::ECS::TaskDefinition'));
  expect(task?.['Properties'].ContainerDefinitions[0].Environment).toEqual(
    expect.arrayContaining([
      { Name: 'BATON_LINGER_MS', Value: '500' },
      { Name: 'BATON_TOTAL_SHARDS', Value: '32' },
    ]),
  );
});

test('a paused fleet has everything but running workers', () => {
  const { template } = synthesizeFleet({ paused: true });
  template.hasResourceProperties('AWS::ECS::Service', { DesiredCount: 0 });
  template.hasResourceProperties('AWS::Events::Rule', { State: 'DISABLED' });
});

test('a fleet is paused in an order in which no round brings its workers back', () => {
  const roundsOf = (paused: boolean) => {
    const { fleet, stack, template } = synthesizeFleet({ paused });
    const idOf = (construct: IConstruct) => stack.getLogicalId(construct.node.defaultChild as CfnElement);
    const dependenciesOf = (id: string) => plain(template).Resources[id]?.DependsOn ?? [];
    const [rule, service] = [idOf(fleet.rebalanceFunction.everyMinute), idOf(fleet.workers.service)];
    const waits = { service: dependenciesOf(service).includes(rule), rule: dependenciesOf(rule).includes(service) };
    return {
      waits,
      reserved: propertiesOf(plain(template), 'AWS::Lambda::Function', { FunctionName: 'baton-rebalance' })[
        'ReservedConcurrentExecutions'
      ],
    };
  };
  expect(roundsOf(true)).toEqual({ waits: { service: true, rule: false }, reserved: 0 });
  expect(roundsOf(false)).toEqual({ waits: { service: false, rule: true }, reserved: undefined });
});

test('nothing of the dev stage is left but its secret', () => {
  const { template } = synthesizeFleet(stages.dev);
  const kept = Object.values(plain(template).Resources).filter(({ DeletionPolicy }) =>
    DeletionPolicy?.startsWith('Retain'),
  );
  expect(kept.map(({ Type }) => Type)).toEqual(['AWS::SecretsManager::Secret']);
});

test('of a first deployment that fails only the protected tables are left, so that the next one can take their place', () => {
  const policies = Map.groupBy(
    Object.values(plain(synthesizeFleet().template).Resources),
    ({ DeletionPolicy }) => DeletionPolicy,
  );
  const typesWith = (policy: string) => [...new Set(policies.get(policy)?.map(({ Type }) => Type))].sort();
  expect(typesWith('Retain')).toEqual(['AWS::DynamoDB::GlobalTable']);
  expect(typesWith('RetainExceptOnCreate')).toEqual(['AWS::Logs::LogGroup', 'AWS::SecretsManager::Secret']);
});
