import { App, CfnOutput, Stack, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { BatonFleet, type BatonFleetProps } from './baton-fleet.ts';
import { readStage, stages } from './stages.ts';

/** Writes the cloud assembly of the stage that the context names (`-c stage=dev`). Resolves to the exit code. */
export async function main(): Promise<number> {
  const app = new App();
  const settings: BatonFleetProps = stages[readStage(app.node.tryGetContext('stage') ?? 'prod')];
  const alarmEmail = readText(app, 'alarmEmail') ?? settings.alarmEmail;
  const stack = new Stack(app, 'Baton', {
    stackName: settings.fleet,
    description: 'Baton: a fleet of Discord gateway workers',
  });
  const fleet = new BatonFleet(stack, 'Fleet', { ...settings, paused: readFlag(app, 'paused'), alarmEmail });
  // The only fleet of its stack, so outputs need no path in front of their names.
  for (const part of fleet.node.findAll()) if (part instanceof CfnOutput) part.overrideLogicalId(part.node.id);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  app.synth();
  return 0;
}

/** @throws {Error} naming the context value. */
function readFlag(app: App, name: string): boolean {
  const value: unknown = app.node.tryGetContext(name) ?? 'false';
  if (value === 'true' || value === 'false') return value === 'true';
  throw new Error(`${name}=${String(value)} must be true or false, as in: cdk deploy -c ${name}=true`);
}

/** A context value that may be absent. @throws {Error} when it is no text. */
function readText(app: App, name: string): string | undefined {
  const value: unknown = app.node.tryGetContext(name);
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw new Error(`${name}=${JSON.stringify(value)} must be text, as in: cdk deploy -c ${name}=...`);
}
