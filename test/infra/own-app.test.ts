import { rmSync } from 'node:fs';
import { App, type Environment, Stack, Validations } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import { Vpc } from 'aws-cdk-lib/aws-ec2';
import { Key } from 'aws-cdk-lib/aws-kms';
import { AwsSolutionsChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { BatonFleet, type BatonFleetProps } from '../../infra/baton-fleet.ts';
import { stages } from '../../infra/stages.ts';
import { plain, propertiesOf, roleOf, statementsOfRole } from './template-reader.ts';

const env = { account: '123456789012', region: 'eu-west-1' };
const keyArn = `arn:aws:kms:eu-west-1:${env.account}:key/11111111-2222-3333-4444-555555555555`;

/** An app of somebody else; functions are not bundled for it. */
function appWith(build: (stack: Stack) => void, environment?: Environment): { app: App; stack: Stack } {
  const app = new App({ context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [] } });
  const stack = new Stack(app, 'Bot', environment && { env: environment });
  build(stack);
  return { app, stack };
}

function fleetIn(stack: Stack, props: Partial<BatonFleetProps> = {}, id = 'Fleet'): BatonFleet {
  return new BatonFleet(stack, id, { ...stages.prod, fleet: 'mybot', ...props });
}

/** @throws what cdk-nag and the validator find. */
function check(app: App): void {
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  rmSync(app.synth().directory, { recursive: true });
}

const withEverything = (stack: Stack): Partial<BatonFleetProps> => ({
  vpc: Vpc.fromVpcAttributes(stack, 'Vpc', {
    vpcId: 'vpc-0123456789abcdef0',
    availabilityZones: ['eu-west-1a', 'eu-west-1b'],
    publicSubnetIds: ['subnet-0123456789abcdef0', 'subnet-0123456789abcdef1'],
    publicSubnetRouteTableIds: ['rtb-0123456789abcdef0', 'rtb-0123456789abcdef0'],
  }),
  tableEncryptionKey: Key.fromKeyArn(stack, 'Key', keyArn),
  alarmEmail: 'ops@example.com',
});

test.each<[string, Environment | undefined, (stack: Stack) => Partial<BatonFleetProps>]>([
  ['of a known account and Region', env, () => ({})],
  ['with everything of its own', env, withEverything],
  ['of any Region, with alarms by mail', undefined, () => ({ alarmEmail: 'ops@example.com' })],
])('a stack %s has no finding', (_, environment, propsIn) => {
  const { app } = appWith((stack) => fleetIn(stack, propsIn(stack)), environment);
  expect(() => check(app)).not.toThrow();
});

test('a stack may hold two fleets, and another Region a fleet of the same name', () => {
  const { stack } = appWith((scope) => {
    fleetIn(scope, { fleet: 'one' }, 'One');
    fleetIn(scope, { fleet: 'two' }, 'Two');
  }, env);
  const template = Template.fromStack(stack);
  expect(Object.keys(template.findOutputs('*', {}))).toHaveLength(8);
  // What belongs to an account, and to no Region of it.
  const namesOf = (type: string, name: string) =>
    Object.values(template.findResources(type)).map(
      ({ Properties }) => (Properties as Record<string, string>)[name] ?? '',
    );
  expect(namesOf('AWS::IAM::ManagedPolicy', 'ManagedPolicyName').toSorted()).toEqual([
    'one-console-operator-eu-west-1',
    'one-console-reader-eu-west-1',
    'two-console-operator-eu-west-1',
    'two-console-reader-eu-west-1',
  ]);
  expect(namesOf('AWS::CloudWatch::Dashboard', 'DashboardName')).toEqual(['one-eu-west-1', 'two-eu-west-1']);
});

describe('a table key of its own', () => {
  test('may be used by every role that uses a table', () => {
    const { stack } = appWith(
      (scope) => fleetIn(scope, { tableEncryptionKey: Key.fromKeyArn(scope, 'Key', keyArn) }),
      env,
    );
    const template = plain(Template.fromStack(stack));
    const roles = [
      roleOf(propertiesOf(template, 'AWS::ECS::TaskDefinition')['TaskRoleArn']),
      ...Object.values(template.Resources)
        .filter(({ Type }) => Type === 'AWS::Lambda::Function')
        .map(({ Properties }) => roleOf(Properties['Role'])),
    ];
    expect(roles).toHaveLength(8);
    for (const role of roles) {
      expect(statementsOfRole(template, role)).toContainEqual(
        expect.objectContaining({ Resource: keyArn, Action: expect.arrayContaining(['kms:Decrypt']) as unknown }),
      );
    }
  });

  test('needs a stack of a known Region, and says so', () => {
    expect(() =>
      appWith((stack) => fleetIn(stack, { tableEncryptionKey: Key.fromKeyArn(stack, 'Key', keyArn) })),
    ).toThrow(/tableEncryptionKey.*env/);
  });
});

test('a secret under a key of its own can be read by all that need the token', () => {
  const secretArn = `arn:aws:secretsmanager:eu-west-1:${env.account}:secret:bot-AbCdEf`;
  const { stack } = appWith(
    (scope) => fleetIn(scope, { secretArn, secretEncryptionKey: Key.fromKeyArn(scope, 'Key', keyArn) }),
    env,
  );
  const template = plain(Template.fromStack(stack));
  const rolesWith = (resource: string) =>
    Object.values(template.Resources)
      .filter(({ Type, Properties }) => Type === 'AWS::IAM::Policy' && JSON.stringify(Properties).includes(resource))
      .map(({ Properties }) => (Properties['Roles'] as { Ref: string }[])[0]?.Ref);
  expect(rolesWith(secretArn)).toHaveLength(5);
  expect(new Set(rolesWith(keyArn))).toEqual(new Set(rolesWith(secretArn)));
});
