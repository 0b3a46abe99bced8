import { App, Stack } from 'aws-cdk-lib';
import { Template } from 'aws-cdk-lib/assertions';
import cdkJson from '../../cdk.json' with { type: 'json' };
import { BatonFleet, type BatonFleetProps } from '../../infra/baton-fleet.ts';
import { stages } from '../../infra/stages.ts';

export interface SynthesizedFleet {
  readonly fleet: BatonFleet;
  readonly stack: Stack;
  readonly template: Template;
}

/** The template of a fleet with the settings of the prod stage and `props`; functions are not bundled for it. */
export function synthesizeFleet(props: Partial<BatonFleetProps> = {}): SynthesizedFleet {
  const app = new App({ context: { ...cdkJson.context, 'aws:cdk:bundling-stacks': [] } });
  const stack = new Stack(app, 'Baton');
  const fleet = new BatonFleet(stack, 'Fleet', { ...stages.prod, ...props });
  return { fleet, stack, template: Template.fromStack(stack) };
}
