import { registerHooks } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { Focus } from './scenario.ts';

/** One change of the program's text. `find` must occur exactly once. */
interface Edit {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** A broken protocol: what it does wrong, and the edits that break it. */
export interface Variant {
  readonly breaks: string;
  /** The trouble in which it shows soonest. */
  readonly focus?: Focus;
  readonly edits: readonly Edit[];
}

const flushCycle = 'gateway-workers/publishing/flush-cycle.ts';
const sessionStream = 'gateway-workers/publishing/session-stream.ts';
const handoffSource = 'gateway-workers/handoff-source.ts';
const worker = 'gateway-workers/worker.ts';
const coordinator = 'gateway-workers/coordinator.ts';
const limiter = 'gateway-workers/identify-limiter.ts';
const sendRules = 'gateway-workers/publishing/send-rules.ts';
const sessionMachine = 'gateway-workers/gateway/session-machine.ts';
const shard = 'gateway-workers/shard/shard.ts';
const namesakeWatch = 'gateway-workers/namesake-watch.ts';
const identifyGate = 'shared/coordination/identify-gate.ts';
const memoryStore = 'shared/coordination/memory-store.ts';
const livenessWatch = 'shared/coordination/liveness-watch.ts';

/** Broken protocols that the simulation must catch: the reasons given in the protocol, each turned into its opposite. */
export const variants: Readonly<Record<string, Variant>> = {
  'fence-in-another-item': {
    breaks: 'fence and intent live in different items: a late intent lands after the fence',
    focus: { groups: ['pauses'] },
    edits: [
      {
        file: memoryStore,
        find: 'if (!item || item.fencedBy !== undefined || item.version >= version) {',
        replace: 'if (!item || item.version >= version) {',
      },
      {
        file: memoryStore,
        find: 'this.#checkpoints.set(name, copyOf({ incarnation, chunk, version, entries }));',
        replace:
          'const { fencedBy } = item; this.#checkpoints.set(name, copyOf({ incarnation, chunk, version, entries, ...(fencedBy !== undefined && { fencedBy }) }));',
      },
      // The worker looks for its fence before it writes.
      {
        file: flushCycle,
        find: 'const outcome = await store.writeCheckpoint({ incarnation, chunk, version, entries });',
        replace:
          "const [fence] = await store.readCheckpoints([{ incarnation, chunk }]); const outcome = fence?.fencedBy !== undefined ? { kind: 'refused' as const, item: fence } : await store.writeCheckpoint({ incarnation, chunk, version, entries });",
      },
    ],
  },
  'no-version-in-the-condition': {
    breaks: "a late copy of the worker's own older write rolls its checkpoint back",
    focus: { groups: ['noise', 'crashes'] },
    edits: [
      {
        file: memoryStore,
        find: 'if (!item || item.fencedBy !== undefined || item.version >= version) {',
        replace: 'if (!item || item.fencedBy !== undefined) {',
      },
    ],
  },
  'two-envelopes-in-flight': {
    breaks: 'a second envelope of a group leaves before the first is acknowledged',
    edits: [
      {
        file: sessionStream,
        find: 'while (this.#doubt === undefined && this.#pending',
        replace:
          'if (this.#doubt?.packed !== undefined && this.#pending.length > 0) { this.early = this.#doubt; this.#publishedSeq = this.#doubt.last; this.#doubt = undefined; } while (this.#doubt === undefined && this.#pending',
      },
      {
        file: sessionStream,
        find: '  #ended = false;\n',
        replace: '  #ended = false;\n  early: Doubt | undefined;\n',
      },
      // What was sent early and failed is sent again afterwards.
      {
        file: sessionStream,
        find: '    if (this.#doubt !== doubt) return;\n    this.#publishedSeq = doubt.last;',
        replace:
          '    if (this.early === doubt) this.early = undefined;\n    if (this.#doubt !== doubt) return;\n    this.#publishedSeq = doubt.last;',
      },
      {
        file: flushCycle,
        find: 'if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;\n      const { doubt',
        replace: 'if (shard.isFrozen || stream === undefined) continue;\n      const { doubt',
      },
      {
        file: flushCycle,
        find: 'if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;\n      if (stream.doubt !== undefined)',
        replace:
          'if (shard.isFrozen || stream === undefined) continue;\n      if (stream.doubt !== undefined && stream.pendingFrames === 0)',
      },
      {
        file: flushCycle,
        find: '  #sendListed(): void {\n    const now = this.#now();\n',
        replace:
          '  #sendListed(): void {\n    const now = this.#now();\n    for (const shard of this.#shards.values()) { const stream = shard.stream; const early = stream?.early; if (stream === undefined || early?.packed === undefined) continue; stream.early = undefined; void this.#options.sender.sendBatch([envelope(shard, stream, early, now.wallClockMs)]).then(([outcome]) => { if (outcome !== "sent") stream.early = early; }); }\n',
      },
    ],
  },
  'retry-beyond-the-window': {
    breaks: 'an envelope is sent again under the same id after SQS has forgotten it',
    focus: { groups: ['crashes'], shape: 'longQueueOutage' },
    edits: [
      {
        file: sendRules,
        find: 'if (!range.unfenced && isPastDeduplication(range, now)) return',
        replace: 'if (!range.unfenced && isPastDeduplication(range, now) && now.monotonicMs < 0) return',
      },
    ],
  },
  'idle-acknowledgement-not-stored': {
    breaks: 'a heartbeat leaves the entries as they are, so an idle shard stays in doubt',
    focus: { groups: ['crashes'], shape: 'silence' },
    edits: [
      {
        file: flushCycle,
        find: '      entries.set(key, shard.checkpointEntry());',
        replace:
          '      const entry = shard.checkpointEntry(); const before = this.lastEntries.get(key); entries.set(key, entry.inDoubt === undefined && before?.inDoubt !== undefined && before.session === entry.session && before.epoch === entry.epoch ? before : entry);',
      },
      {
        file: flushCycle,
        find: '    const listed: Doubt[] = [];',
        replace: '    const listed: Doubt[] = []; queueMicrotask(() => { this.lastEntries = entries; });',
      },
      {
        file: flushCycle,
        find: '  #version = 0;\n',
        replace: '  #version = 0;\n  lastEntries = new Map<ShardKey, CheckpointEntry>();\n',
      },
    ],
  },
  'shard-taken-from-the-living': {
    breaks: 'a single shard is taken over without fencing the whole incarnation',
    focus: { groups: ['pauses'] },
    edits: [
      {
        file: memoryStore,
        find: '    this.#checkpoints.set(name, fenced);\n',
        replace: '',
      },
    ],
  },
  'entry-without-epoch': {
    breaks: 'a takeover believes an entry of an earlier epoch',
    focus: { groups: ['moves'] },
    edits: [
      {
        file: memoryStore,
        find: 'entry?.epoch === epoch ? withoutEpoch(entry) : lease.checkpoint',
        replace: 'entry !== undefined ? withoutEpoch(entry) : lease.checkpoint',
      },
    ],
  },
  'stale-lease-read': {
    breaks: 'an old image of a lease makes a worker hold again what it has let go',
    focus: { groups: ['moves', 'noise'] },
    edits: [
      {
        file: worker,
        find: 'if (lease.epoch <= (this.#letGo.get(key) ?? 0) || this.#environment === undefined) return;',
        replace: 'if (this.#environment === undefined) return;',
      },
    ],
  },
  'failed-condition-taken-for-a-fence': {
    breaks: 'a worker stops although only the answer to its own write was lost',
    edits: [
      {
        file: flushCycle,
        find: 'if (item === undefined || item.fencedBy !== undefined) {',
        replace: 'if (item === undefined || item.version >= 0) {',
      },
      {
        file: flushCycle,
        find: 'if (!isOurs) {',
        replace: "if (outcome.kind === 'refused') {",
      },
    ],
  },
  'outage-fences-the-healthy': {
    breaks: 'observers count the silence of a table that they cannot reach themselves',
    focus: { groups: ['outages'] },
    edits: [
      {
        file: coordinator,
        find: '    if (!this.#ownWritesSucceed()) this.#forgetObservations();\n',
        replace: '',
      },
    ],
  },
  'close-before-release': {
    breaks: 'the owner closes its socket and forgets what it read before the release has an answer',
    focus: { groups: ['moves', 'outages'] },
    edits: [
      {
        file: handoffSource,
        find: '    shard.isFrozen = true;\n',
        replace: '    shard.isFrozen = true;\n    await shard.close();\n',
      },
    ],
  },
  'gate-held-from-sending': {
    breaks: 'the five seconds of the identify gate run from sending, not from READY',
    focus: { groups: ['discord', 'crashes'], discord: { maxConcurrency: 1, replayFrames: 5 } },
    edits: [
      {
        file: limiter,
        find: 'this.#freeAtMs = clock.monotonicMs() + identifySpacingMs;',
        replace: 'this.#freeAtMs = sendBeforeMs - permitMs + identifySpacingMs;',
      },
    ],
  },
  'checkpoint-before-acknowledgement': {
    breaks: 'the checkpoint passes an envelope when it is sent, not when SQS has it',
    edits: [
      {
        file: flushCycle,
        find: '    for (const shard of batch) this.#inFlight.add(shard);\n',
        replace:
          '    for (const shard of batch) this.#inFlight.add(shard);\n    for (const { stream, doubt } of attempts) stream.acknowledge(doubt);\n',
      },
    ],
  },
  'boundaries-not-kept': {
    breaks: 'the next owner cuts what is in doubt anew',
    focus: { groups: ['crashes'] },
    edits: [
      {
        file: sessionStream,
        find: 'if (inDoubt) this.#doubt = inheritedDoubt(inDoubt, this.#publishedSeq);',
        replace: 'if (inDoubt && this.#publishedSeq < 0) this.#doubt = inheritedDoubt(inDoubt, this.#publishedSeq);',
      },
    ],
  },
  'wall-clock-expiry': {
    breaks: 'a worker is dead when the wall clock of another says that its last sign of life is old',
    edits: [
      {
        file: flushCycle,
        find: 'const version = this.#version + 1;',
        replace: 'const version = Math.max(this.#version + 1, this.#options.clock.wallClockMs());',
      },
      {
        file: livenessWatch,
        find: 'if (isDead(observation, rules)) dead.push(worker);',
        replace: 'if (observation.counter > 0 && clock.wallClockMs() - observation.counter > 9000) dead.push(worker);',
      },
    ],
  },
  'session-dropped-on-a-failed-dial': {
    breaks: 'a dial that fails costs the session',
    focus: { groups: ['discord'] },
    edits: [
      {
        file: sessionMachine,
        find: "      return startOver(state, 'terminateSocket', 'no connection in time');",
        replace: "      return loseSession(state, 'terminateSocket', 'no connection in time');",
      },
    ],
  },
  'sends-before-the-session-is-stored': {
    breaks: 'events of a new session leave before any checkpoint names it',
    focus: { groups: ['crashes', 'noise'] },
    edits: [
      {
        file: sendRules,
        find: 'if (range.listedAtMs === undefined || now',
        replace: 'if (range.listedAtMs !== undefined && now',
      },
    ],
  },
  'budget-not-spent-first': {
    breaks: 'IDENTIFY is sent without spending the budget',
    focus: { groups: ['discord', 'crashes'], discord: { identifies: 6, replayFrames: 5 } },
    edits: [
      {
        file: limiter,
        find: "        if (outcome.kind === 'done') {\n          this.#paid",
        replace: "        if (outcome.kind === 'done' || outcome.value !== undefined) {\n          this.#paid",
      },
    ],
  },
  'frozen-shard-goes-on': {
    breaks: 'the owner goes on cutting and sending while nobody knows whether its release has happened',
    focus: { groups: ['moves', 'noise'] },
    edits: [
      {
        file: flushCycle,
        find: 'if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;\n      const { doubt',
        replace: 'if (stream === undefined || this.#inFlight.has(shard)) continue;\n      const { doubt',
      },
      {
        file: flushCycle,
        find: 'if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;\n      if (stream.doubt',
        replace: 'if (stream === undefined || this.#inFlight.has(shard)) continue;\n      if (stream.doubt',
      },
      {
        file: flushCycle,
        find: 'const doubt = stream?.doubt;\n      if (shard.isFrozen || doubt?.packed === undefined || this.#inFlight.has(shard)) continue;\n      if (rangeStep',
        replace:
          'const doubt = stream?.doubt;\n      if (doubt?.packed === undefined || this.#inFlight.has(shard)) continue;\n      if (rangeStep',
      },
    ],
  },
  'resumes-in-turn': {
    breaks: 'two owners take a session from each other again and again',
    focus: { groups: ['outages', 'pauses', 'cuts'] },
    edits: [{ file: shard, find: 'if (!this.#resumedUnconfirmed) {', replace: 'if (this.epoch > 0) {' }],
  },
  'interactions-not-held': {
    breaks: 'the checkpoint passes an interaction before its queue has it',
    edits: [
      {
        file: shard,
        find: '        stream.hold(seq);\n        this.#interactions',
        replace: '        this.#interactions',
      },
    ],
  },
  'token-taken-too-soon': {
    breaks: 'a token of the identify gate counts as abandoned while its IDENTIFY may still be on the way',
    edits: [{ file: identifyGate, find: 'abandonedAfterMs = 9000;', replace: 'abandonedAfterMs = 4000;' }],
  },
  'identify-past-the-line': {
    breaks: 'two shards of one worker IDENTIFY through one bucket at once',
    focus: { groups: ['moves', 'deploys'], discord: { maxConcurrency: 1 } },
    edits: [
      {
        file: limiter,
        find: '      await this.approach(shardId, signal);\n      await this.#pay',
        replace: '      await this.#pay',
      },
    ],
  },
  'taken-session-given-up': {
    breaks: 'a session that another connection has resumed is taken for dead',
    focus: { groups: ['pauses', 'discord'], discord: { doubleResumeCode: 4006 } },
    edits: [
      {
        file: sessionMachine,
        find: 'return afterTaken(state, reason);',
        replace: "return loseSession(state, 'terminateSocket', reason);",
      },
    ],
  },
  'resumed-ends-the-rebuilding': {
    breaks: 'the RESUMED of an earlier RESUME, replayed, ends the envelope in doubt before it is complete',
    focus: { groups: ['crashes', 'outages', 'discord'] },
    edits: [
      {
        file: sessionStream,
        find: 'if (seq >= doubt.last) this.#finishRebuilding(doubt);',
        replace: "if (seq >= doubt.last || type === 'RESUMED') this.#finishRebuilding(doubt);",
      },
    ],
  },
  'unfenced-too-soon': {
    breaks: 'a worker goes unfenced before others could have found it dead',
    edits: [{ file: sendRules, find: 'unfencedAfterMs = 15_000;', replace: 'unfencedAfterMs = 5000;' }],
  },
  'checkpoint-names-the-dead': {
    breaks:
      'the checkpoint speaks of a dead session as long as frames of it wait, so that its successor is lost with its owner',
    focus: { groups: ['discord'], shape: 'longQueueOutage' },
    edits: [
      {
        file: shard,
        find: 'return newest === undefined || newest.ended ? emptyCheckpoint : newest.checkpoint();',
        replace: 'return newest === undefined ? emptyCheckpoint : (this.stream?.checkpoint() ?? emptyCheckpoint);',
      },
    ],
  },
  'two-of-an-id': {
    breaks: 'a worker stays although an earlier one of its id is alive',
    focus: { groups: [] },
    edits: [{ file: namesakeWatch, find: 'movesOfTheLiving = 3;', replace: 'movesOfTheLiving = 1000;' }],
  },
  'gives-way-to-the-dead': {
    breaks: 'a worker gives way to the record of a dead one of its id',
    focus: { groups: ['crashes'] },
    edits: [
      {
        file: namesakeWatch,
        find: 'if (seen === undefined || seen.moves < movesOfTheLiving) return false;',
        replace: 'if (seen !== undefined) return true;',
      },
    ],
  },
};

/** From now on modules are loaded as the variant has them. Call before anything of the program is imported. */
export function breakProgram(name: string): void {
  const variant = variants[name];
  if (variant === undefined) {
    throw new RangeError(
      `unknown variant ${JSON.stringify(name)}: it must be one of ${Object.keys(variants).join(', ')}`,
    );
  }
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.startsWith('file:')) return loaded;
      const edits = variant.edits.filter(({ file }) => fileURLToPath(url).endsWith(`/${file}`));
      if (edits.length === 0) return loaded;
      let text = Buffer.from((loaded.source ?? '') as string | Uint8Array).toString();
      for (const { file, find, replace } of edits) {
        if (text.split(find).length !== 2) {
          throw new Error(`variant ${name}: ${file} does not hold this exactly once: ${find}`);
        }
        text = text.replace(find, () => replace);
      }
      return { ...loaded, source: text };
    },
  });
}
