import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { InteractionRecord, Interactions } from './interactions.ts';
import { invalidForm, type RestAnswer } from './rest-answers.ts';
import type { World } from './world.ts';

/** Requests to the endpoint, and what was wrong with their answers. */
export interface EndpointTotals {
  /** Interactions sent. */
  readonly sent: number;
  /** Of them, those answered in the response in time. 202, which leaves the answer to the callback route, counts too. */
  readonly answered: number;
  /** Of them, those that were not. */
  readonly failed: number;
  /** Requests with a wrong signature, sent to see them refused. */
  readonly probes: number;
  /** Why interactions failed, each reason with its number. */
  readonly failures: Readonly<Record<string, number>>;
}

export interface InteractionsEndpointDeps {
  readonly world: World;
  readonly interactions: Interactions;
  readonly clock: Clock;
  readonly interactionDeadlineMs: number;
  /** After so many interactions a request with a wrong signature. */
  readonly probeEvery: number;
}

/** What came back, as far as Discord looks at it. */
interface EndpointResponse {
  readonly status: number;
  readonly contentType: string;
  readonly text: string;
}

/**
 * Discord's side of the interactions endpoint URL: it is checked when it is set, gets interactions signed, and is asked
 * now and then with a wrong signature. One that takes such a request is dropped, as Discord does.
 */
export class InteractionsEndpoint {
  readonly #deps: InteractionsEndpointDeps;
  readonly #stopping = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  readonly #failures: Record<string, number> = {};
  #url: string | undefined;
  #sent = 0;
  #answered = 0;
  #failed = 0;
  #probes = 0;

  constructor(deps: InteractionsEndpointDeps) {
    this.#deps = deps;
  }

  /** Where interactions go; `undefined` while they go over the gateway. */
  get url(): string | undefined {
    return this.#url;
  }

  get totals(): EndpointTotals {
    return {
      sent: this.#sent,
      answered: this.#answered,
      failed: this.#failed,
      probes: this.#probes,
      failures: { ...this.#failures },
    };
  }

  /**
   * Sets the URL, as the developer portal does: it must answer a PING, and refuse one with a wrong signature. Empty or
   * `null` brings interactions back to the gateway. The answer is that of `PATCH /applications/@me`.
   */
  async set(url: unknown): Promise<RestAnswer> {
    if (url === null || url === '') {
      this.#url = undefined;
      return { status: 200 };
    }
    if (typeof url !== 'string' || !URL.canParse(url)) return invalidForm('interactions_endpoint_url', 'Not a URL.');
    const problem = await this.#problemOf(url);
    if (problem !== undefined) {
      return invalidForm(
        'interactions_endpoint_url',
        `The specified interactions endpoint url could not be verified: ${problem}`,
      );
    }
    this.#url = url;
    return { status: 200 };
  }

  /** Sends an interaction, and takes its answer when it comes in time. */
  deliver(record: InteractionRecord, body: string): void {
    const url = this.#url;
    if (url === undefined) return;
    this.#sent += 1;
    this.#start(this.#deliver(url, record, body));
    if (this.#sent % this.#deps.probeEvery === 0) this.#start(this.#probe(url));
  }

  /** Breaks off what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#underWay);
  }

  #start(work: Promise<void>): void {
    const task = work.finally(() => this.#underWay.delete(task));
    this.#underWay.add(task);
  }

  async #deliver(url: string, { id }: InteractionRecord, body: string): Promise<void> {
    let problem: string | undefined;
    try {
      problem = this.#take(id, await this.#post(url, body));
    } catch (error) {
      if (this.#stopping.signal.aborted) return;
      problem = messageOf(error);
    }
    if (problem === undefined) {
      this.#answered += 1;
      return;
    }
    this.#failed += 1;
    this.#failures[problem] = (this.#failures[problem] ?? 0) + 1;
  }

  /** What is wrong with the answer; `undefined` when Discord can use it. */
  #take(id: string, { status, contentType, text }: EndpointResponse): string | undefined {
    if (status === 202) return undefined;
    if (status !== 200) return `answered with ${status}`;
    if (!contentType.startsWith('application/json')) return `content-type ${contentType}`;
    const answer = this.#deps.interactions.endpointAnswer(id, parsed(text));
    return answer.status < 300 ? undefined : `answer refused: ${JSON.stringify(answer.body)}`;
  }

  async #probe(url: string): Promise<void> {
    this.#probes += 1;
    try {
      const { status } = await this.#post(url, pingOf(this.#deps.world), { isForged: true });
      if (status !== 401 && this.#url === url) this.#url = undefined;
    } catch {
      // An endpoint that cannot be reached has not taken the request, and stays.
    }
  }

  async #problemOf(url: string): Promise<string | undefined> {
    const ping = pingOf(this.#deps.world);
    try {
      const pong = await this.#post(url, ping);
      const type = (parsed(pong.text) as { type?: unknown } | undefined)?.type;
      if (pong.status !== 200 || type !== 1) return `PING was answered with ${pong.status} ${pong.text}`;
      if (!pong.contentType.startsWith('application/json')) return `content-type ${pong.contentType}`;
      const { status } = await this.#post(url, ping, { isForged: true });
      return status === 401 ? undefined : `a wrong signature was answered with ${status}, not 401`;
    } catch (error) {
      return messageOf(error);
    }
  }

  /** @throws {Error} when there is no answer in time. */
  async #post(url: string, body: string, { isForged = false } = {}): Promise<EndpointResponse> {
    const { world, clock, interactionDeadlineMs } = this.#deps;
    const timestamp = String(Math.floor(clock.wallClockMs() / 1000));
    const late = new AbortController();
    const timer = clock.schedule(interactionDeadlineMs, () => late.abort(new Error('no answer in time')));
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': 'Discord-Interactions/1.0 (+https://discord.com)',
          // A signature of something else: well formed, and wrong.
          ...world.signatureHeaders(isForged ? `${body} ` : body, timestamp),
        },
        body,
        signal: AbortSignal.any([late.signal, this.#stopping.signal]),
      });
      const contentType = response.headers.get('content-type') ?? 'none';
      return { status: response.status, contentType, text: await response.text() };
    } finally {
      timer.cancel();
    }
  }
}

function pingOf(world: World): string {
  const id = world.snowflakes.next();
  return JSON.stringify({ id, application_id: world.applicationId, type: 1, token: `ping:${id}`, version: 1 });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
