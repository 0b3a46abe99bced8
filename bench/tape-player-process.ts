import type { GatewayCompression } from '../shared/config.ts';
import { systemClock } from '../shared/clock.ts';
import { TapePlayer } from './tape-player.ts';
import { makeTape, type Mix } from './traffic-tape.ts';

export type PlayerRequest =
  | {
      readonly kind: 'load';
      readonly mix: Mix;
      readonly compress: GatewayCompression;
      readonly eventsPerShard: number;
      readonly shards: number;
    }
  /** Cuts off who listens, and plays to those who come, as soon as all shards have identified; without a rate as fast as they take it. */
  | { readonly kind: 'play'; readonly eventsPerSecond?: number };

export interface PlayerAnswer {
  readonly port: number;
  readonly plainBytesPerEvent: number;
  /** Of an event as it is sent. */
  readonly wireBytesPerEvent: number;
}

process.on('disconnect', () => process.exit(0));
const player = new TapePlayer();
const port = await player.listen();
let shards = 0;
let eventsPerShard = 0;
let loaded: PlayerAnswer | undefined;

process.on('message', (request: PlayerRequest) => {
  if (request.kind === 'load') {
    ({ shards, eventsPerShard } = request);
    const tape = makeTape(request.mix, request.compress, eventsPerShard, `ws://127.0.0.1:${port}`);
    player.load(tape, shards);
    const { plainBytesPerEvent, events } = tape;
    loaded = { port, plainBytesPerEvent, wireBytesPerEvent: events.length / eventsPerShard };
  } else {
    player.hangUp();
    void play(request.eventsPerSecond);
  }
  process.send?.(loaded);
});

async function play(eventsPerSecond: number | undefined): Promise<void> {
  while (player.listening < shards) await systemClock.sleep(10);
  if (eventsPerSecond === undefined) await player.playAtOnce(0, eventsPerShard);
  else await player.playAtRate(eventsPerSecond, 0, eventsPerShard);
}
