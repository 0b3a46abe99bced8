import { Match } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { synthesizeFleet } from './synthesized-fleet.ts';
import { plain } from './template-reader.ts';

const { template } = synthesizeFleet();
const resources = Object.entries(plain(template).Resources);

/** Logical ids of functions, by what they are called. */
function functionId(name: string): string {
  const found = resources.find(
    ([, { Type, Properties }]) => Type === 'AWS::Lambda::Function' && Properties['FunctionName'] === `baton-${name}`,
  );
  return found?.[0] ?? `no function ${name}`;
}

test.each(['stats', 'operate'])('the URL of %s answers signed requests alone', (name) => {
  template.hasResourceProperties('AWS::Lambda::Url', {
    AuthType: 'AWS_IAM',
    TargetFunctionArn: { 'Fn::GetAtt': [functionId(name), 'Arn'] },
  });
  const grants = resources.filter(
    ([, { Type, Properties }]) =>
      Type === 'AWS::Lambda::Permission' &&
      JSON.stringify(Properties).includes(functionId(name)) &&
      Properties['Principal'] !== 'events.amazonaws.com',
  );
  expect(grants).toEqual([]);
});

test('readers may ask the stats function alone, operators both, and each only by its URL', () => {
  const statementsOf = (policy: string): { Action: string; Resource: unknown; Condition?: unknown }[] => {
    const name = { 'Fn::Join': ['', [`${policy}-`, { Ref: 'AWS::Region' }]] };
    const [found] = Object.values(
      template.findResources('AWS::IAM::ManagedPolicy', { Properties: { ManagedPolicyName: name } }),
    );
    return found?.['Properties'].PolicyDocument.Statement as never;
  };
  const arnOf = (name: string) => ({ 'Fn::GetAtt': [functionId(name), 'Arn'] });
  expect(statementsOf('baton-console-reader').map(({ Resource }) => Resource)).toEqual([
    arnOf('stats'),
    arnOf('stats'),
  ]);
  expect(statementsOf('baton-console-operator').map(({ Resource }) => Resource)).toEqual([
    [arnOf('operate'), arnOf('stats')],
    [arnOf('operate'), arnOf('stats')],
  ]);
  for (const policy of ['baton-console-reader', 'baton-console-operator']) {
    expect(statementsOf(policy).map(({ Action, Condition }) => [Action, Condition])).toEqual([
      ['lambda:InvokeFunctionUrl', undefined],
      ['lambda:InvokeFunction', { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } }],
    ]);
  }
});

test('stats run every minute, also in a paused fleet', () => {
  const paused = synthesizeFleet({ paused: true }).template;
  paused.hasResourceProperties('AWS::Events::Rule', {
    ScheduleExpression: 'rate(1 minute)',
    State: 'ENABLED',
    Targets: [Match.objectLike({ Arn: { 'Fn::GetAtt': [functionId('stats'), 'Arn'] } })],
  });
});
