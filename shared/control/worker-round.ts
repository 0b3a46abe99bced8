import type { Incarnation, WorkerRecord } from '../coordination/model.ts';
import type { MissingWorker, WorkerAnswer, WorkerResult } from './answers.ts';
import type { FleetOptions } from './fleet-ports.ts';
import { ReplyWait, type Waiting } from './reply-wait.ts';
import type { WorkerRequest } from './requests.ts';

interface WorkerQuestion extends Waiting {
  readonly asked: readonly WorkerRecord[];
  readonly request: WorkerRequest;
}

/** One request to workers. */
export class WorkerRound {
  readonly #question: WorkerQuestion;
  readonly #wait: ReplyWait;

  constructor(options: FleetOptions, question: WorkerQuestion) {
    this.#question = question;
    this.#wait = new ReplyWait(options, question);
  }

  async run(): Promise<WorkerAnswer<unknown>> {
    const results: WorkerResult<unknown>[] = [];
    const missing: MissingWorker[] = [];
    const pending = new Map<number, WorkerRecord>();
    const { asked, request, withinMs } = this.#question;
    for (const record of asked) {
      const sending = this.#wait.send(record, request, undefined, (reason) => {
        if (pending.delete(sending)) missing.push({ ...nameOf(record), code: 'unreachable', reason });
      });
      pending.set(sending, record);
    }
    try {
      while (pending.size > 0 && !this.#wait.isOver) {
        for (const { sending, outcomes } of await this.#wait.next()) {
          const record = pending.get(sending);
          const [outcome] = outcomes;
          if (record === undefined || outcome === undefined) continue;
          pending.delete(sending);
          if (outcome.ok) results.push({ ...nameOf(record), value: outcome.value });
          // A worker is never another's.
          else if (outcome.code !== 'not-mine')
            missing.push({ ...nameOf(record), code: outcome.code, reason: outcome.reason });
        }
      }
    } finally {
      this.#wait.end();
    }
    for (const record of pending.values()) {
      const reason = this.#wait.noAnswer(record.workerId, withinMs);
      missing.push({ ...nameOf(record), code: 'no-answer', reason });
    }
    return { results: results.sort(byName), missing: missing.sort(byName) };
  }
}

function nameOf({ workerId, incarnation }: WorkerRecord): { worker: string; incarnation: Incarnation } {
  return { worker: workerId, incarnation };
}

function byName(one: { worker: string }, other: { worker: string }): number {
  return one.worker < other.worker ? -1 : Number(one.worker > other.worker);
}
