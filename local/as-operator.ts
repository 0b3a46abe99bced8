import { deedOf, type FleetAction } from '../functions/operate/fleet-actions.ts';
import { messageOf } from '../shared/errors.ts';
import type { TimelineRecorder } from '../shared/stats/timeline.ts';
import { operatorName } from './operator-name.ts';

/** Does what somebody at this machine asked for, and keeps an entry of it in the fleet's timeline. Throws as `run`. */
export async function asOperator<T>(
  timeline: TimelineRecorder,
  action: FleetAction,
  run: () => Promise<T>,
): Promise<T> {
  const by = operatorName();
  const deed = deedOf(action);
  timeline.record({ kind: 'operator', by, ...deed });
  // A move that follows is explained by this entry, so it comes first.
  await timeline.flush();
  try {
    return await run();
  } catch (error) {
    timeline.record({ kind: 'operator', by, ...deed, reason: `${deed.reason} failed: ${messageOf(error)}` });
    await timeline.flush();
    throw error;
  }
}
