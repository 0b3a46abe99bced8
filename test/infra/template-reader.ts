import type { Template } from 'aws-cdk-lib/assertions';

export interface PolicyStatement {
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

interface Resource {
  readonly Type: string;
  readonly DeletionPolicy?: string;
  readonly DependsOn?: readonly string[];
  readonly Properties: Readonly<Record<string, unknown>>;
}

/** A synthesized template as plain data. */
export interface PlainTemplate {
  readonly Resources: Readonly<Record<string, Resource>>;
}

export function plain(template: Template): PlainTemplate {
  return template.toJSON() as PlainTemplate;
}

/** Properties of the only resource of a type whose properties have these values. @throws {Error} when it is not one. */
export function propertiesOf(
  { Resources }: PlainTemplate,
  type: string,
  where: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> {
  const found = Object.values(Resources).filter(
    ({ Type, Properties }) => Type === type && Object.entries(where).every(([key, value]) => Properties[key] === value),
  );
  if (found.length !== 1) throw new Error(`${found.length} resources of ${type} with ${JSON.stringify(where)}`);
  return (found[0] as Resource).Properties;
}

/** Statements of every policy of the template that is attached to a role, by the role's logical id. */
export function statementsOfRole({ Resources }: PlainTemplate, roleId: string): PolicyStatement[] {
  return Object.values(Resources)
    .filter(
      ({ Type, Properties }) =>
        Type === 'AWS::IAM::Policy' &&
        (Properties['Roles'] as readonly { Ref?: string }[]).some(({ Ref }) => Ref === roleId),
    )
    .flatMap(({ Properties }) => (Properties['PolicyDocument'] as { Statement: PolicyStatement[] }).Statement);
}

interface ContainerDefinition {
  readonly Environment: readonly { readonly Name: string; readonly Value: unknown }[];
  readonly Secrets: readonly { readonly Name: string; readonly ValueFrom: unknown }[];
  readonly HealthCheck: { readonly Command: readonly string[] };
}

export function workerContainer(template: PlainTemplate): ContainerDefinition {
  const { ContainerDefinitions } = propertiesOf(template, 'AWS::ECS::TaskDefinition');
  return (ContainerDefinitions as [ContainerDefinition])[0];
}

/** Environment of the worker's container, the variables from the secret with their reference as the value. */
export function workerEnvironment(template: PlainTemplate): Record<string, unknown> {
  const { Environment, Secrets } = workerContainer(template);
  return Object.fromEntries([
    ...Environment.map(({ Name, Value }) => [Name, Value]),
    ...Secrets.map(({ Name, ValueFrom }) => [Name, ValueFrom]),
  ]) as Record<string, unknown>;
}

export function functionEnvironment(template: PlainTemplate, functionName: string): Record<string, unknown> {
  const { Environment } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: functionName });
  return (Environment as { Variables: Record<string, unknown> }).Variables;
}

/** Logical id of the role that a function or the worker's task acts with. */
export function roleOf(attribute: unknown): string {
  return (attribute as { 'Fn::GetAtt': [string, string] })['Fn::GetAtt'][0];
}
