import { redrive, redriveLine } from '../functions/operate/redrive.ts';
import { createSqsClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { readStatsConfig } from '../shared/config.ts';
import { asOperator } from './as-operator.ts';
import { withFleet } from './fleet-client.ts';

/** Nobody waits longer at a terminal; what is left is told, and the command can be given again. */
const withinMs = 15 * 60_000;

/** `baton redrive`. @throws {BatonError} as {@link redrive}. */
export async function printRedrive({ dryRun, json }: { dryRun: boolean; json: boolean }): Promise<void> {
  const { eventsQueue, eventsDlq } = readStatsConfig(process.env);
  const sqs = createSqsClient('general');
  const run = () =>
    redrive(
      { sqs, deadLetters: eventsDlq, queue: eventsQueue, clock: systemClock },
      { dryRun, withinMs, onProgress: (line) => process.stderr.write(`${line}\n`) },
    );
  try {
    const result = dryRun
      ? await run()
      : await withFleet(process.env, ({ timeline }) => asOperator(timeline, { kind: 'redrive', dryRun }, run));
    console.log(json ? JSON.stringify({ dryRun, ...result }) : `${redriveLine(result, dryRun)}.`);
  } finally {
    sqs.destroy();
  }
}
