import { messageDeduplicationId, messageGroupId } from '../../shared/envelope.ts';
import type { Incarnation } from '../../shared/coordination/model.ts';
import type {
  EventsSender,
  InteractionsSender,
  OutgoingEnvelope,
  SendOutcome,
} from '../../gateway-workers/publishing/events-sender.ts';
import type { ParkingLot } from '../../gateway-workers/shard/parking-lot.ts';
import type { Chance } from './chance.ts';
import type { Ledger } from './ledger.ts';
import type { SimProcess } from './machine.ts';
import type { World } from './world.ts';

/** How SQS fails as a whole. */
export type QueueOutage = 'refuses' | 'hangs' | 'losesAnswers';

export interface QueueNoise {
  /** Of single entries in a batch. */
  readonly entryFailed: number;
  readonly throttled: number;
  readonly answerLost: number;
  /** Taken in up to a minute later. */
  readonly late: number;
}

export const quietQueues: QueueNoise = { entryFailed: 0, throttled: 0, answerLost: 0, late: 0 };

type Fate = 'normal' | 'refused' | 'lost' | 'answerLost' | 'late';

/** The client gives up a send after this time and destroys its socket. */
const sendTimeoutMs = 5000;
/** What was on its way then may still arrive this much later. */
const latestMs = 55_000;
/** SQS keeps a deduplication id for this long. */
const deduplicationMs = 300_000;

/** Frames of this type are refused by SQS, whatever they come with. */
export const poisonType = 'POISON';

/** The events queue (FIFO), the interactions queue and the place for frames that SQS refuses. */
export class SimQueues {
  noise = quietQueues;
  outage: QueueOutage | undefined;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #ledger: Ledger;
  /** When each deduplication id of each group was taken in. */
  readonly #taken = new Map<string, number>();

  constructor(world: World, chance: Chance, ledger: Ledger) {
    this.#world = world;
    this.#chance = chance;
    this.#ledger = ledger;
  }

  eventsSender(process: SimProcess, incarnation: () => Incarnation): EventsSender {
    return {
      sendBatch: (envelopes) =>
        new Promise((resolve) => {
          if (!process.isAlive) return;
          this.#checkBatch(envelopes, incarnation());
          this.#send(process, 'events.sendBatch', {
            arrive: (isLate) => envelopes.map((envelope) => this.#takeIn(envelope, isLate)),
            answered: (outcomes) => {
              outcomes.forEach((outcome, index) => {
                const { header } = envelopes[index] as OutgoingEnvelope;
                if (outcome === 'sent') this.#ledger.acknowledged(header, incarnation());
                if (outcome === 'refused') this.#ledger.refused(header);
              });
              resolve(outcomes);
            },
            failed: () => resolve(envelopes.map(() => 'failed')),
          });
        }),
    };
  }

  interactionsSender(process: SimProcess): InteractionsSender {
    return {
      sendInteraction: (body) =>
        new Promise((resolve) => {
          this.#send<SendOutcome>(process, 'events.sendInteraction', {
            arrive: () => {
              const { session, seq } = JSON.parse(body) as { session: string; seq: number };
              this.#ledger.interactionAccepted(session, seq);
              return 'sent';
            },
            answered: resolve,
            failed: () => resolve('failed'),
          });
        }),
    };
  }

  parkingLot(process: SimProcess): ParkingLot {
    return {
      park: (_shard, session, frame) =>
        new Promise((resolve, reject) => {
          this.#send(process, 'table.park', {
            arrive: () => this.#ledger.parked(session, frame.seq),
            answered: () => resolve(),
            failed: () => reject(new Error('the directory table does not answer')),
          });
        }),
    };
  }

  #send<T>(
    process: SimProcess,
    request: string,
    handlers: { arrive: (isLate: boolean) => T; answered: (outcome: T) => void; failed: () => void },
  ): void {
    if (!process.sends(request)) return;
    const { time } = this.#world;
    const chance = this.#chance;
    const fate = this.#fate(process);
    if (fate !== 'normal') this.#world.note(process.name, () => `${request}: ${fate}`);
    const startedMs = process.monotonicMs();
    const travelMs = chance.between(2, 25);
    switch (fate) {
      case 'normal':
        time.after(travelMs, () => {
          const outcome = handlers.arrive(false);
          time.after(chance.between(2, 25), () =>
            process.deliver(() => {
              const isTooLate = process.monotonicMs() - startedMs > sendTimeoutMs && chance.happens(0.5);
              if (isTooLate) handlers.failed();
              else handlers.answered(outcome);
            }),
          );
        });
        break;
      case 'refused':
        time.after(travelMs, () => process.deliver(handlers.failed));
        break;
      case 'lost':
        process.schedule(sendTimeoutMs, handlers.failed);
        break;
      case 'answerLost':
        time.after(travelMs, () => handlers.arrive(false));
        process.schedule(sendTimeoutMs, handlers.failed);
        break;
      case 'late':
        // Most late requests are late by little.
        time.after(sendTimeoutMs * chance.random.next() + latestMs * chance.random.next() ** 3, () =>
          handlers.arrive(true),
        );
        process.schedule(sendTimeoutMs, handlers.failed);
        break;
    }
  }

  #fate(process: SimProcess): Fate {
    const chance = this.#chance;
    const cut = process.machine.cuts.get('events');
    if (cut === 'answers' || this.outage === 'losesAnswers') return 'answerLost';
    if (this.outage === 'refuses') return 'refused';
    if (cut === 'both' || this.outage === 'hangs') {
      const draw = chance.random.next();
      if (draw < 0.3) return 'refused';
      return draw < 0.5 ? 'late' : 'lost';
    }
    const { throttled, answerLost, late } = this.noise;
    let rest = chance.random.next();
    if ((rest -= throttled) < 0) return 'refused';
    if ((rest -= answerLost) < 0) return 'answerLost';
    return rest - late < 0 ? 'late' : 'normal';
  }

  #checkBatch(envelopes: readonly OutgoingEnvelope[], incarnation: Incarnation): void {
    const groups = new Set(envelopes.map(({ header }) => header.shard[0]));
    if (envelopes.length > 10 || groups.size !== envelopes.length) {
      this.#world.violate('bad batch', `${envelopes.length} envelopes of ${groups.size} groups`);
    }
    for (const { header } of envelopes) this.#ledger.sent(header, incarnation);
  }

  #takeIn({ header, payload }: OutgoingEnvelope, isLate: boolean): SendOutcome {
    const [shardId, shardCount] = header.shard;
    const group = messageGroupId({ shardId, shardCount });
    const id = messageDeduplicationId(header.session, header.first, header.last);
    const name = `${group}/${id}`;
    const describe = () =>
      `${group} ${header.session} ${header.first}-${header.last} epoch ${header.epoch}${header.unfenced ? ' unfenced' : ''}`;
    if (header.types[poisonType] !== undefined) {
      this.#world.note('sqs', () => `refuses ${describe()}`);
      return 'refused';
    }
    if (this.#chance.happens(this.noise.entryFailed)) {
      this.#world.note('sqs', () => `fails ${describe()}`);
      return 'failed';
    }
    const takenAtMs = this.#taken.get(name);
    if (takenAtMs !== undefined && this.#world.nowMs - takenAtMs < deduplicationMs) {
      this.#world.note('sqs', () => `has ${describe()} already`);
      return 'sent';
    }
    this.#taken.set(name, this.#world.nowMs);
    this.#world.note('sqs', () => `takes in ${describe()}${isLate ? ' (late)' : ''}`);
    const text = payload.toString('latin1');
    this.#ledger.accepted({ header, frames: text === '\n' ? [] : text.split('\n'), isLate });
    return 'sent';
  }
}
