import type { GatewayCompression } from '../shared/config.ts';
import { systemClock } from '../shared/clock.ts';
import { peerReceivers } from './peer-receivers.ts';
import { ownReceivers } from './receivers.ts';

/** What one receiver needed from event `warmUp` on. */
export interface ReceiveResult {
  readonly events: number;
  /** User and system time of its process. */
  readonly cpuMs: number;
  readonly elapsedMs: number;
  readonly rssBytes: number;
}

export interface ReceiveArguments {
  readonly receiver: string;
  readonly gatewayUrl: string;
  readonly shards: number;
  readonly compress: GatewayCompression;
  /** Events before the measurement begins: compilers get this long. */
  readonly warmUp: number;
  /** All events, those of the warm-up among them. */
  readonly total: number;
}

process.on('disconnect', () => process.exit(0));
const { receiver, warmUp, total, ...task } = JSON.parse(process.argv[2] as string) as ReceiveArguments;
const receive = ownReceivers[receiver] ?? peerReceivers[receiver]?.receive;
if (receive === undefined) throw new Error(`no receiver ${receiver}`);

let count = 0;
let before = process.cpuUsage();
let startedMs = 0;

function onEvent(): void {
  count += 1;
  if (count === warmUp) {
    startedMs = systemClock.monotonicMs();
    before = process.cpuUsage();
  } else if (count === total) {
    const { user, system } = process.cpuUsage(before);
    const result: ReceiveResult = {
      events: total - warmUp,
      cpuMs: (user + system) / 1000,
      elapsedMs: systemClock.monotonicMs() - startedMs,
      rssBytes: process.memoryUsage.rss(),
    };
    process.send?.(result, () => process.exit(0));
  }
}

await receive({ ...task, onEvent });
