import { App, Stack } from 'aws-cdk-lib';
import { BatonFleet } from './baton-fleet.ts';
import { readStage, stages } from './stages.ts';

/** Writes the cloud assembly of the stage that the context names (`-c stage=dev`). Resolves to the exit code. */
export async function main(): Promise<number> {
  const app = new App();
  const settings = stages[readStage(app.node.tryGetContext('stage') ?? 'prod')];
  const stack = new Stack(app, 'Baton', {
    stackName: settings.fleet,
    description: 'Baton: a fleet of Discord gateway workers',
  });
  new BatonFleet(stack, 'Fleet', settings);
  app.synth();
  return 0;
}
