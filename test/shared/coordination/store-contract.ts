import { describe, expect, test } from 'vitest';
import type {
  Checkpoint,
  CheckpointEntry,
  CheckpointItem,
  FleetState,
  Lease,
  WorkerRecord,
  WorkerReport,
} from '../../../shared/coordination/model.ts';
import type { RebalanceState, SmoothedLoad } from '../../../shared/coordination/rebalance.ts';
import { type CoordinationStore, reportLifetimeMs } from '../../../shared/coordination/store.ts';
import type { ShardKey } from '../../../shared/sharding.ts';
import { ManualClock } from '../../manual-clock.ts';

const [alpha, beta, gamma] = [
  '0a1b2c3d-0000-4000-8000-000000000001',
  '0a1b2c3d-0000-4000-8000-000000000002',
  '0a1b2c3d-0000-4000-8000-000000000003',
] as const;
const shard = { shardId: 3, shardCount: 16 };
const racers = Array.from({ length: 20 }, (_, index) => `0a1b2c3d-0000-4000-8000-1000000000${index + 10}`);

const session = '0123456789abcdef0123456789abcdef';
const inDoubt = { first: 101, last: 150, firstAttemptAtMs: 1_790_000_000_123 };
const full: Checkpoint = { session, acknowledgedSeq: 100, publishedSeq: 90, inDoubt };

export function workerRecord(
  incarnation: string,
  changes: Partial<WorkerRecord> = {},
): Omit<WorkerRecord, 'joinNumber'> {
  return {
    incarnation,
    workerId: `worker-${incarnation.slice(-2)}`,
    release: '2026-11-22T00:00:00Z',
    maxShards: 200,
    chunkCount: 1,
    controlQueueUrl: `https://sqs.us-east-1.amazonaws.com/123456789012/${incarnation}`,
    originalCoordinator: false,
    assignable: true,
    draining: false,
    ...changes,
  };
}

export function workerReport(incarnation: string): WorkerReport {
  return {
    incarnation,
    workerId: 'worker-01',
    cpuPercent: 12.5,
    memoryMb: 181,
    eventsPerSecond: 2000.25,
    coordinator: true,
    shards: [
      {
        shard: '16.3',
        epoch: 7,
        state: 'ready',
        ready: true,
        seq: 150,
        guildCount: 2500,
        latencyMs: 41.5,
        eventsPerSecond: 125,
        bufferedEvents: 0,
        figures: {
          memberCount: 250_000,
          commandsPerSecond: 0.4,
          identifies: 1,
          resumes: 2,
          reconnects: 2,
          lastCloseCode: 1006,
          sessionAgeMs: 86_400_000,
          silentForMs: 12,
        },
      },
      {
        shard: '16.4',
        epoch: 1,
        state: 'identifying',
        ready: false,
        seq: 0,
        guildCount: 0,
        latencyMs: 0,
        eventsPerSecond: 0,
        bufferedEvents: 0,
      },
    ],
    figures: {
      uptimeMs: 90_000,
      commandsPerSecond: 0.4,
      identifies: 1,
      resumes: 2,
      reconnects: 2,
      flushMs: 14,
      queueAgeMs: 0,
    },
  };
}

export const rebalanceState: RebalanceState = {
  atMs: 1_790_000_000_000,
  shardCount: 16,
  workers: new Map([
    [
      alpha,
      {
        cpuPercent: 81.25,
        latencyMs: 41.3,
        weight: 1234.567,
        shardCount: 15,
        observedMs: 60_000.25,
        isHot: true,
        isFilling: false,
      },
    ],
    [
      'a-name-of-another-form',
      { cpuPercent: 0, latencyMs: 0, weight: 0, shardCount: 0, observedMs: 0, isHot: false, isFilling: true },
    ],
  ]),
  movedAtMs: new Map([
    [3, 1_789_999_940_000],
    [0, 1_790_000_000_000],
    [15, 1_789_999_880_001],
  ]),
};

/** Writes as a worker does, and the outcome's kind. */
async function checkpointAt(store: CoordinationStore, version: number, entry?: CheckpointEntry): Promise<string> {
  const entries = new Map<ShardKey, CheckpointEntry>(entry ? [['16.3', entry]] : []);
  return (await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version, entries })).kind;
}

async function readCheckpoint(store: CoordinationStore): Promise<CheckpointItem | undefined> {
  return (await store.readCheckpoints([{ incarnation: alpha, chunk: 0 }]))[0];
}

async function readLease(store: CoordinationStore): Promise<Lease | undefined> {
  return (await store.readLeases([shard]))[0];
}

/** A lease in the hands of alpha, epoch 1. */
async function ownedByAlpha(store: CoordinationStore): Promise<void> {
  await store.createLeases(shard.shardCount, [shard.shardId]);
  expect(await store.grant(shard, { epoch: 0, to: alpha })).toMatchObject({ kind: 'done' });
}

async function winners(outcomes: readonly Promise<{ kind: string }>[]): Promise<number> {
  return (await Promise.all(outcomes)).filter(({ kind }) => kind === 'done').length;
}

/**
 * What every adapter of the store port must do. `open` gives an empty store; its reports age by `clock`.
 */
export function storeContract(open: (clock: ManualClock) => Promise<CoordinationStore>): void {
  const clock = new ManualClock();

  describe('workers', () => {
    test('a worker that joins is listed as it registered, under the next join number', async () => {
      const store = await open(clock);
      const first = await store.join(workerRecord(alpha));
      const second = await store.join(workerRecord(beta, { maxShards: undefined, assignable: false }));
      expect(first).toEqual({ ...workerRecord(alpha), joinNumber: 1 });
      expect(second.joinNumber).toBe(2);
      const listed = await store.listWorkers();
      expect(listed.sort((one, other) => one.joinNumber - other.joinNumber)).toEqual([first, second]);
    });

    test('joining again after a lost answer returns the same record and rolls no checkpoint back', async () => {
      const store = await open(clock);
      const first = await store.join(workerRecord(alpha));
      await checkpointAt(store, 5);
      expect(await store.join(workerRecord(alpha))).toEqual(first);
      expect(await store.listWorkers()).toEqual([first]);
      expect(await readCheckpoint(store)).toMatchObject({ version: 5 });
    });

    test('joining at the same time gives everybody another number', async () => {
      const store = await open(clock);
      const joined = await Promise.all(racers.map((incarnation) => store.join(workerRecord(incarnation))));
      expect(new Set(joined.map(({ joinNumber }) => joinNumber)).size).toBe(racers.length);
    });

    test('joining creates every checkpoint chunk at version 0, without entries', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha, { chunkCount: 3 }));
      const chunks = await store.readCheckpoints([0, 1, 2, 3].map((chunk) => ({ incarnation: alpha, chunk })));
      expect(chunks.sort((one, other) => one.chunk - other.chunk)).toEqual(
        [0, 1, 2].map((chunk) => ({ incarnation: alpha, chunk, version: 0, entries: new Map() })),
      );
    });

    test('a draining worker is marked, a missing one is not brought into being', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await store.markDraining(alpha);
      await store.markDraining(beta);
      expect(await store.listWorkers()).toEqual([{ ...workerRecord(alpha), joinNumber: 1, draining: true }]);
    });

    test('a fenced worker is removed, and late writes to its checkpoint or record revive nothing', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await store.writeReport(workerReport(alpha));
      await store.fence({ incarnation: alpha, chunk: 0, seenVersion: 0, by: beta });
      await store.removeWorker(alpha);
      expect(await store.listWorkers()).toEqual([]);
      expect(await store.listReports()).toEqual([]);
      expect(await checkpointAt(store, 9)).toBe('refused');
      await store.markDraining(alpha);
      await store.removeWorker(alpha);
      expect(await store.listWorkers()).toEqual([]);
    });

    test('a worker with a chunk that is not fenced stays', async () => {
      const store = await open(clock);
      const joined = await store.join(workerRecord(alpha, { chunkCount: 2 }));
      await store.fence({ incarnation: alpha, chunk: 0, seenVersion: 0, by: beta });
      await store.removeWorker(alpha);
      expect(await store.listWorkers()).toEqual([joined]);
    });
  });

  describe('checkpoints', () => {
    test('entries come back as they were written', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      const entries = new Map<ShardKey, CheckpointEntry>([
        ['16.3', { ...full, epoch: 7, inDoubt: { ...inDoubt, unfenced: true } }],
        ['16.4', { ...full, epoch: 1 }],
        ['64.63', { epoch: 0, acknowledgedSeq: 0, publishedSeq: 0 }],
      ]);
      expect(await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries })).toEqual({
        kind: 'written',
      });
      expect(await readCheckpoint(store)).toEqual({ incarnation: alpha, chunk: 0, version: 1, entries });
    });

    test('a late copy of an older write is refused, with the image, and changes nothing', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await checkpointAt(store, 1, { ...full, epoch: 1, acknowledgedSeq: 10 });
      await checkpointAt(store, 2, { ...full, epoch: 1, acknowledgedSeq: 20 });
      const late = await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries: new Map() });
      expect(late).toMatchObject({ kind: 'refused', item: { version: 2 } });
      expect((await readCheckpoint(store))?.entries.get('16.3')?.acknowledgedSeq).toBe(20);
    });

    test('a write repeated after a lost answer is refused with its own version, unfenced', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      const write = { incarnation: alpha, chunk: 0, version: 1, entries: new Map([['16.3', { ...full, epoch: 1 }]]) };
      await store.writeCheckpoint(write as Omit<CheckpointItem, 'fencedBy'>);
      const again = await store.writeCheckpoint(write as Omit<CheckpointItem, 'fencedBy'>);
      expect(again).toEqual({ kind: 'refused', item: write });
    });

    test('a version may skip numbers', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      expect(await checkpointAt(store, 41)).toBe('written');
    });

    test('a worker that never joined cannot write', async () => {
      const store = await open(clock);
      const write = await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries: new Map() });
      expect(write).toEqual({ kind: 'refused', item: undefined });
      expect(await readCheckpoint(store)).toBeUndefined();
    });

    test('reading finds each item once and leaves out what does not exist', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      const wanted = { incarnation: alpha, chunk: 0 };
      expect(await store.readCheckpoints([wanted, { incarnation: beta, chunk: 0 }, wanted])).toHaveLength(1);
      expect(await store.readCheckpoints([])).toEqual([]);
    });

    test('hundreds of items are read at once', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha, { chunkCount: 230 }));
      const chunks = Array.from({ length: 250 }, (_, chunk) => ({ incarnation: alpha, chunk }));
      const found = await store.readCheckpoints(chunks);
      expect(found.map(({ chunk }) => chunk).sort((one, other) => one - other)).toEqual(
        chunks.slice(0, 230).map(({ chunk }) => chunk),
      );
    });

    test('what the caller does to its objects later does not reach the store', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      const entries = new Map<ShardKey, CheckpointEntry>([['16.3', { ...full, epoch: 1 }]]);
      await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries });
      entries.clear();
      const read = (await readCheckpoint(store)) as CheckpointItem;
      expect(read.entries.size).toBe(1);
      (read.entries as Map<ShardKey, CheckpointEntry>).clear();
      expect((await readCheckpoint(store))?.entries.size).toBe(1);
    });
  });

  describe('the fence', () => {
    const fence = { incarnation: alpha, chunk: 0, by: beta };

    test('goes up on the version that was seen, and returns the image', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await checkpointAt(store, 4, { ...full, epoch: 1 });
      const fenced = await store.fence({ ...fence, seenVersion: 4 });
      expect(fenced).toEqual({ kind: 'fenced', item: await readCheckpoint(store) });
      expect(fenced).toMatchObject({ item: { fencedBy: beta, version: 4 } });
      expect(fenced.kind === 'fenced' && fenced.item.entries.get('16.3')).toEqual({ ...full, epoch: 1 });
    });

    test.each([{ seenVersion: 3 }, { seenVersion: 5 }])(
      'finds the worker alive at version 4 after $seenVersion',
      async ({ seenVersion }) => {
        const store = await open(clock);
        await store.join(workerRecord(alpha));
        await checkpointAt(store, 4);
        expect(await store.fence({ ...fence, seenVersion })).toMatchObject({ kind: 'alive', item: { version: 4 } });
        expect(await checkpointAt(store, 5)).toBe('written');
      },
    );

    test('stays the first one: another finds it, with who did it', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await store.fence({ ...fence, seenVersion: 0 });
      const second = await store.fence({ ...fence, seenVersion: 0, by: gamma });
      expect(second).toMatchObject({ kind: 'fenced', item: { fencedBy: beta } });
    });

    test('says when there is nothing to fence', async () => {
      const store = await open(clock);
      expect(await store.fence({ ...fence, seenVersion: 0 })).toEqual({ kind: 'missing' });
      expect(await readCheckpoint(store)).toBeUndefined();
    });

    test('refuses every later write, and tells the writer', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      await checkpointAt(store, 1, { ...full, epoch: 1 });
      await store.fence({ ...fence, seenVersion: 1 });
      const write = await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 2, entries: new Map() });
      expect(write).toMatchObject({ kind: 'refused', item: { fencedBy: beta, version: 1 } });
      expect((await readCheckpoint(store))?.entries.size).toBe(1);
    });

    test('covers one chunk only', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha, { chunkCount: 2 }));
      await store.fence({ ...fence, chunk: 1, seenVersion: 0 });
      expect(await checkpointAt(store, 1)).toBe('written');
    });

    test('against a write: exactly one of the two holds', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      for (let version = 1; version <= 20; version++) {
        const [write, fenced] = await Promise.all([
          checkpointAt(store, version),
          store.fence({ ...fence, seenVersion: version - 1 }),
        ]);
        expect([write, fenced.kind]).toEqual(write === 'written' ? ['written', 'alive'] : ['refused', 'fenced']);
        if (write === 'refused') return;
      }
    });

    test('of twenty racers is put up by one', async () => {
      const store = await open(clock);
      await store.join(workerRecord(alpha));
      const outcomes = await Promise.all(racers.map((by) => store.fence({ ...fence, seenVersion: 0, by })));
      const holders = outcomes.map((outcome) => outcome.kind === 'fenced' && outcome.item.fencedBy);
      expect(new Set(holders).size).toBe(1);
      expect(racers).toContain(holders[0]);
    });
  });

  describe('leases', () => {
    test('are created unheld at epoch 0, once, and listed by shard', async () => {
      const store = await open(clock);
      await store.createLeases(16, [3, 0]);
      await store.grant(shard, { epoch: 0, to: alpha });
      await store.createLeases(16, [0, 3, 10, 9]);
      await store.createLeases(8, [1]);
      const checkpoint = { acknowledgedSeq: 0, publishedSeq: 0 };
      expect(await store.listLeases(16)).toEqual([
        { shard: { shardId: 0, shardCount: 16 }, epoch: 0, checkpoint },
        { shard, owner: alpha, epoch: 1, checkpoint },
        { shard: { shardId: 9, shardCount: 16 }, epoch: 0, checkpoint },
        { shard: { shardId: 10, shardCount: 16 }, epoch: 0, checkpoint },
      ]);
      expect(await store.listLeases(8)).toHaveLength(1);
      expect(await store.listLeases(4)).toEqual([]);
    });

    test('a thousand are created and listed', async () => {
      const store = await open(clock);
      const ids = Array.from({ length: 1000 }, (_, id) => id);
      await store.createLeases(1000, ids);
      expect((await store.listLeases(1000)).map((lease) => lease.shard.shardId)).toEqual(ids);
    });

    test('created by several at once are created once', async () => {
      const store = await open(clock);
      await Promise.all([1, 2, 3].map(() => store.createLeases(16, [0, 1, 2, 3])));
      expect(await store.listLeases(16)).toHaveLength(4);
    });

    test('reading finds those that exist', async () => {
      const store = await open(clock);
      await store.createLeases(16, [3]);
      const found = await store.readLeases([shard, { shardId: 4, shardCount: 16 }, shard]);
      expect(found.map((lease) => lease.shard)).toEqual([shard]);
      expect(await store.readLeases([])).toEqual([]);
    });

    test('one that does not exist is refused to everybody', async () => {
      const store = await open(clock);
      const refused = { kind: 'refused', lease: undefined };
      expect(await store.grant(shard, { epoch: 0, to: alpha })).toEqual(refused);
      expect(await store.takeOver(shard, { from: alpha, epoch: 0, to: beta, entry: undefined })).toEqual(refused);
      expect(await store.release(shard, { owner: alpha, epoch: 0, to: undefined, checkpoint: full })).toEqual(refused);
      expect(await store.setWant(shard, { owner: alpha, epoch: 0, want: beta })).toEqual(refused);
      expect(await store.setResumeUrl(shard, { owner: alpha, epoch: 0, resumeUrl: 'wss://x' })).toEqual(refused);
      expect(await readLease(store)).toBeUndefined();
    });
  });

  describe('a grant', () => {
    test('gives an unheld shard, with what it carried, under the next epoch', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setResumeUrl(shard, { owner: alpha, epoch: 1, resumeUrl: 'wss://resume.example' });
      await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma });
      await store.release(shard, { owner: alpha, epoch: 1, to: undefined, checkpoint: full });
      const granted = { shard, owner: beta, epoch: 3, resumeUrl: 'wss://resume.example', checkpoint: full };
      expect(await store.grant(shard, { epoch: 2, to: beta })).toEqual({ kind: 'done', lease: granted });
      expect(await readLease(store)).toEqual(granted);
    });

    test('of a held shard is refused with the lease, also when repeated after a lost answer', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const lease = { shard, owner: alpha, epoch: 1, checkpoint: { acknowledgedSeq: 0, publishedSeq: 0 } };
      expect(await store.grant(shard, { epoch: 0, to: alpha })).toEqual({ kind: 'refused', lease });
      expect(await store.grant(shard, { epoch: 1, to: beta })).toEqual({ kind: 'refused', lease });
      expect(await readLease(store)).toEqual(lease);
    });

    test('of an earlier epoch is refused', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.release(shard, { owner: alpha, epoch: 1, to: undefined, checkpoint: full });
      expect(await store.grant(shard, { epoch: 0, to: beta })).toMatchObject({ kind: 'refused', lease: { epoch: 2 } });
      expect((await readLease(store))?.owner).toBeUndefined();
    });

    test('to twenty at once is won by one', async () => {
      const store = await open(clock);
      await store.createLeases(16, [3]);
      expect(await winners(racers.map((to) => store.grant(shard, { epoch: 0, to })))).toBe(1);
      expect(await readLease(store)).toMatchObject({ epoch: 1 });
    });
  });

  describe('a takeover', () => {
    test('passes the shard on with the entry of the same epoch', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma });
      const taken = await store.takeOver(shard, { from: alpha, epoch: 1, to: beta, entry: { ...full, epoch: 1 } });
      const lease = { shard, owner: beta, epoch: 2, checkpoint: full };
      expect(taken).toEqual({ kind: 'done', lease });
      expect(await readLease(store)).toEqual(lease);
    });

    test('keeps the checkpoint of the lease when the entry is of another epoch or missing', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      await store.release(shard, { owner: alpha, epoch: 1, to: beta, checkpoint: full });
      const stale: CheckpointEntry = { session: 'stale', acknowledgedSeq: 1, publishedSeq: 1, epoch: 1 };
      await store.takeOver(shard, { from: beta, epoch: 2, to: gamma, entry: stale });
      expect(await readLease(store)).toEqual({ shard, owner: gamma, epoch: 3, checkpoint: full });
      await store.takeOver(shard, { from: gamma, epoch: 3, to: alpha, entry: undefined });
      expect(await readLease(store)).toEqual({ shard, owner: alpha, epoch: 4, checkpoint: full });
    });

    test('drops the envelope in doubt and the session that the entry no longer has', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      await store.release(shard, { owner: alpha, epoch: 1, to: beta, checkpoint: full });
      const entry = { acknowledgedSeq: 0, publishedSeq: 0, epoch: 2 };
      await store.takeOver(shard, { from: beta, epoch: 2, to: gamma, entry });
      expect((await readLease(store))?.checkpoint).toEqual({ acknowledgedSeq: 0, publishedSeq: 0 });
    });

    test('without a next owner leaves the shard unheld', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma });
      const entry = { ...full, epoch: 1 };
      const taken = await store.takeOver(shard, { from: alpha, epoch: 1, to: undefined, entry });
      expect(taken).toEqual({ kind: 'done', lease: { shard, epoch: 2, checkpoint: full } });
    });

    test.each([
      { name: 'from another owner', from: beta, epoch: 1 },
      { name: 'of an earlier epoch', from: alpha, epoch: 0 },
      { name: 'of a later epoch', from: alpha, epoch: 2 },
    ])('$name is refused with the lease', async ({ from, epoch }) => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const before = await readLease(store);
      const taken = await store.takeOver(shard, { from, epoch, to: gamma, entry: { ...full, epoch } });
      expect(taken).toEqual({ kind: 'refused', lease: before });
      expect(await readLease(store)).toEqual(before);
    });

    test('of an unheld shard is refused', async () => {
      const store = await open(clock);
      await store.createLeases(16, [3]);
      expect(await store.takeOver(shard, { from: alpha, epoch: 0, to: beta, entry: undefined })).toMatchObject({
        kind: 'refused',
        lease: { epoch: 0 },
      });
    });

    test('by twenty at once is won by one, and a repeated one is refused with its own work', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const takeover = { from: alpha, epoch: 1, entry: { ...full, epoch: 1 } };
      expect(await winners(racers.map((to) => store.takeOver(shard, { ...takeover, to })))).toBe(1);
      const lease = await readLease(store);
      expect(lease).toMatchObject({ epoch: 2, checkpoint: full });
      expect(await store.takeOver(shard, { ...takeover, to: lease?.owner })).toEqual({ kind: 'refused', lease });
    });

    test('against the release of the owner: exactly one of the two holds', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const outcomes = [
        store.release(shard, { owner: alpha, epoch: 1, to: undefined, checkpoint: full }),
        store.takeOver(shard, { from: alpha, epoch: 1, to: beta, entry: undefined }),
      ];
      expect(await winners(outcomes)).toBe(1);
    });
  });

  describe('a release', () => {
    const release = { owner: alpha, epoch: 1, checkpoint: full };

    test('to the wanted owner carries the checkpoint and takes the wish away', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      const lease = { shard, owner: beta, epoch: 2, checkpoint: full };
      expect(await store.release(shard, { ...release, to: beta })).toEqual({ kind: 'done', lease });
      expect(await readLease(store)).toEqual(lease);
    });

    test('keeps the mark of an envelope whose deduplication window may be over', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const checkpoint = { ...full, inDoubt: { ...inDoubt, unfenced: true } };
      await store.release(shard, { ...release, to: undefined, checkpoint });
      expect((await readLease(store))?.checkpoint).toEqual(checkpoint);
    });

    test('to somebody else than the wanted one is refused', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      const before = await readLease(store);
      expect(await store.release(shard, { ...release, to: gamma })).toEqual({ kind: 'refused', lease: before });
      expect(await readLease(store)).toEqual(before);
    });

    test('to somebody while nobody is wanted is refused', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      expect(await store.release(shard, { ...release, to: beta })).toMatchObject({ kind: 'refused' });
      expect(await readLease(store)).toMatchObject({ owner: alpha, epoch: 1 });
    });

    test.each([
      { name: 'by another owner', owner: beta, epoch: 1 },
      { name: 'of an earlier epoch', owner: alpha, epoch: 0 },
    ])('$name is refused, to nobody too', async ({ owner, epoch }) => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma });
      const before = await readLease(store);
      for (const to of [gamma, undefined]) {
        const outcome = await store.release(shard, { owner, epoch, to, checkpoint: full });
        expect(outcome).toEqual({ kind: 'refused', lease: before });
      }
      expect(await readLease(store)).toEqual(before);
    });

    test('to nobody leaves the shard unheld, and repeated after a lost answer is refused with the outcome', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      const lease = { shard, epoch: 2, checkpoint: full };
      expect(await store.release(shard, { ...release, to: undefined })).toEqual({ kind: 'done', lease });
      expect(await store.release(shard, { ...release, to: undefined })).toEqual({ kind: 'refused', lease });
    });
  });

  describe('a wish', () => {
    test('is set and taken back by epoch and owner', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      const wish = { owner: alpha, epoch: 1 };
      expect(await store.setWant(shard, { ...wish, want: beta })).toMatchObject({
        kind: 'done',
        lease: { want: beta },
      });
      expect(await store.setWant(shard, { ...wish, want: beta })).toMatchObject({
        kind: 'done',
        lease: { want: beta },
      });
      const back = await store.setWant(shard, { ...wish, unwanted: beta });
      expect(back).toMatchObject({ kind: 'done' });
      expect((await readLease(store))?.want).toBeUndefined();
      expect(await store.setWant(shard, { ...wish, unwanted: beta })).toMatchObject({ kind: 'refused' });
    });

    test('does not overwrite the wish of another planner', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      expect(await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma })).toMatchObject({
        kind: 'refused',
        lease: { want: beta },
      });
      await store.setWant(shard, { owner: alpha, epoch: 1, unwanted: beta });
      expect(await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma })).toMatchObject({ kind: 'done' });
    });

    test('of somebody else is not taken back', async () => {
      const store = await open(clock);
      await ownedByAlpha(store);
      await store.setWant(shard, { owner: alpha, epoch: 1, want: beta });
      expect(await store.setWant(shard, { owner: alpha, epoch: 1, unwanted: gamma })).toMatchObject({
        kind: 'refused',
        lease: { want: beta },
      });
    });

    test.each([
      { owner: beta, epoch: 1 },
      { owner: alpha, epoch: 2 },
    ])('about owner $owner and epoch $epoch is refused', async (outdated) => {
      const store = await open(clock);
      await ownedByAlpha(store);
      expect(await store.setWant(shard, { ...outdated, want: gamma })).toMatchObject({ kind: 'refused' });
      await store.setWant(shard, { owner: alpha, epoch: 1, want: gamma });
      expect(await store.setWant(shard, { ...outdated, unwanted: gamma })).toMatchObject({
        kind: 'refused',
        lease: { want: gamma },
      });
    });
  });

  test('the resume URL is set by the owner of the epoch alone', async () => {
    const store = await open(clock);
    await ownedByAlpha(store);
    const resumeUrl = 'wss://resume.example';
    expect(await store.setResumeUrl(shard, { owner: beta, epoch: 1, resumeUrl })).toMatchObject({ kind: 'refused' });
    expect(await store.setResumeUrl(shard, { owner: alpha, epoch: 0, resumeUrl })).toMatchObject({ kind: 'refused' });
    expect((await readLease(store))?.resumeUrl).toBeUndefined();
    expect(await store.setResumeUrl(shard, { owner: alpha, epoch: 1, resumeUrl })).toMatchObject({
      kind: 'done',
      lease: { resumeUrl, owner: alpha, epoch: 1 },
    });
  });

  describe('the fleet state', () => {
    const state: FleetState = { shardCount: 16, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' };

    test('is swapped for the expected one only', async () => {
      const store = await open(clock);
      expect(await store.readFleet()).toBeUndefined();
      expect(await store.swapFleet(state, { ...state, shardCount: 32 })).toEqual({ kind: 'refused', value: undefined });
      expect(await store.swapFleet(undefined, state)).toEqual({ kind: 'done', value: state });
      expect(await store.swapFleet(undefined, { ...state, shardCount: 32 })).toEqual({ kind: 'refused', value: state });
      for (const other of [{ shardCount: 8 }, { maxConcurrency: 2 }, { gatewayUrl: 'wss://other.example' }]) {
        const swap = await store.swapFleet({ ...state, ...other }, { ...state, shardCount: 64 });
        expect(swap).toEqual({ kind: 'refused', value: state });
      }
      const next = { ...state, maxConcurrency: 16 };
      expect(await store.swapFleet(state, next)).toEqual({ kind: 'done', value: next });
      expect(await store.readFleet()).toEqual(next);
    });
  });

  describe("the coordinator's role", () => {
    test('is swapped on term and counter', async () => {
      const store = await open(clock);
      expect(await store.readRole()).toBeUndefined();
      const first = { holder: alpha, term: 1, counter: 1 };
      expect(await store.swapRole(first, first)).toEqual({ kind: 'refused', value: undefined });
      expect(await store.swapRole(undefined, first)).toEqual({ kind: 'done', value: first });
      expect(await store.swapRole(undefined, first)).toEqual({ kind: 'refused', value: first });
      const second = { holder: alpha, term: 1, counter: 2 };
      expect(await store.swapRole(first, second)).toEqual({ kind: 'done', value: second });
      expect(await store.swapRole(first, { holder: beta, term: 2, counter: 2 })).toEqual({
        kind: 'refused',
        value: second,
      });
      expect(await store.swapRole({ ...second, term: 2 }, first)).toMatchObject({ kind: 'refused' });
      const vacant = { term: 1, counter: 3 };
      expect(await store.swapRole(second, { ...vacant, holder: undefined })).toMatchObject({ kind: 'done' });
      expect(await store.readRole()).toEqual(vacant);
    });

    test('goes to one of twenty', async () => {
      const store = await open(clock);
      const first = racers.map((holder) => store.swapRole(undefined, { holder, term: 1, counter: 0 }));
      expect(await winners(first)).toBe(1);
      const seen = await store.readRole();
      expect(await winners(racers.map((holder) => store.swapRole(seen, { holder, term: 2, counter: 0 })))).toBe(1);
    });
  });

  describe('the identify gate', () => {
    test('moves its version with every write, a bucket at a time', async () => {
      const store = await open(clock);
      expect(await store.readGate(0)).toBeUndefined();
      const held = { holder: alpha, version: 1 };
      expect(await store.swapGate(0, undefined, alpha)).toEqual({ kind: 'done', value: held });
      expect(await store.swapGate(0, undefined, beta)).toEqual({ kind: 'refused', value: held });
      expect(await store.swapGate(1, undefined, beta)).toMatchObject({ kind: 'done' });
      expect(await store.swapGate(0, held, undefined)).toEqual({ kind: 'done', value: { version: 2 } });
      expect(await store.swapGate(0, held, beta)).toEqual({ kind: 'refused', value: { version: 2 } });
      expect(await store.swapGate(2, held, beta)).toEqual({ kind: 'refused', value: undefined });
      expect(await store.swapGate(0, { version: 2 }, beta)).toEqual({
        kind: 'done',
        value: { holder: beta, version: 3 },
      });
      expect(await store.readGate(0)).toEqual({ holder: beta, version: 3 });
    });

    test('lets one of twenty through', async () => {
      const store = await open(clock);
      expect(await winners(racers.map((holder) => store.swapGate(0, undefined, holder)))).toBe(1);
      const token = await store.readGate(0);
      expect(await winners(racers.map((holder) => store.swapGate(0, token, holder)))).toBe(1);
      expect((await store.readGate(0))?.version).toBe(2);
    });
  });

  describe('the identify budget', () => {
    test('is refused while nobody has set it', async () => {
      const store = await open(clock);
      expect(await store.readBudget()).toBeUndefined();
      expect(await store.spendIdentify(0)).toEqual({ kind: 'refused', value: undefined });
      expect(await store.readBudget()).toBeUndefined();
    });

    test('is spent down to the reserve and no further', async () => {
      const store = await open(clock);
      await store.refreshBudget(undefined, { total: 1000, remaining: 12 });
      expect(await winners(racers.map(() => store.spendIdentify(5)))).toBe(7);
      expect(await store.readBudget()).toEqual({ total: 1000, remaining: 5, version: 8 });
      expect(await store.spendIdentify(5)).toEqual({
        kind: 'refused',
        value: { total: 1000, remaining: 5, version: 8 },
      });
      expect(await store.spendIdentify(4)).toMatchObject({ kind: 'done', value: { remaining: 4 } });
      expect(await winners(racers.map(() => store.spendIdentify(0)))).toBe(4);
      expect(await store.readBudget()).toMatchObject({ remaining: 0 });
    });

    test('is refreshed only as it was seen: what was spent meanwhile is not given back', async () => {
      const store = await open(clock);
      const first = { total: 1000, remaining: 1000, version: 1 };
      expect(await store.refreshBudget(undefined, { total: 1000, remaining: 1000 })).toEqual({
        kind: 'done',
        value: first,
      });
      expect(await store.refreshBudget(undefined, { total: 1, remaining: 1 })).toEqual({
        kind: 'refused',
        value: first,
      });
      await store.spendIdentify(0);
      const spent = { total: 1000, remaining: 999, version: 2 };
      const slow = await store.refreshBudget(first.version, { total: 1000, remaining: 1000 });
      expect(slow).toEqual({ kind: 'refused', value: spent });
      const refreshed = await store.refreshBudget(spent.version, { total: 2000, remaining: 1500 });
      expect(refreshed).toEqual({ kind: 'done', value: { total: 2000, remaining: 1500, version: 3 } });
    });

    test('against a spend: a refresh holds, or the spend is kept', async () => {
      const store = await open(clock);
      await store.refreshBudget(undefined, { total: 10, remaining: 10 });
      const [refresh, spend] = await Promise.all([
        store.refreshBudget(1, { total: 10, remaining: 8 }),
        store.spendIdentify(0),
      ]);
      expect(spend.kind).toBe('done');
      expect(await store.readBudget()).toEqual(
        refresh.kind === 'done' ? { total: 10, remaining: 7, version: 3 } : { total: 10, remaining: 9, version: 2 },
      );
    });
  });

  describe('what a rebalancing round leaves to the next', () => {
    test('comes back as written, and is swapped on its version', async () => {
      const store = await open(clock);
      expect(await store.readRebalanceState()).toBeUndefined();
      expect(await store.swapRebalanceState(1, rebalanceState)).toEqual({ kind: 'refused', value: undefined });
      const first = { ...rebalanceState, version: 1 };
      expect(await store.swapRebalanceState(undefined, rebalanceState)).toEqual({ kind: 'done', value: first });
      expect(await store.readRebalanceState()).toEqual(first);
      const empty = { atMs: 1_790_000_060_000, shardCount: 32, workers: new Map(), movedAtMs: new Map() };
      expect(await store.swapRebalanceState(undefined, empty)).toEqual({ kind: 'refused', value: first });
      expect(await store.swapRebalanceState(1, empty)).toEqual({ kind: 'done', value: { ...empty, version: 2 } });
      expect(await store.swapRebalanceState(1, rebalanceState)).toEqual({
        kind: 'refused',
        value: { ...empty, version: 2 },
      });
      expect(await store.readRebalanceState()).toEqual({ ...empty, version: 2 });
    });

    test('is written by one of twenty', async () => {
      const store = await open(clock);
      const swap = (version: number | undefined) => racers.map(() => store.swapRebalanceState(version, rebalanceState));
      expect(await winners(swap(undefined))).toBe(1);
      expect(await winners(swap(1))).toBe(1);
    });

    test('of 16,000 shards just moved and 400 workers is kept', async () => {
      const store = await open(clock);
      const load = [...rebalanceState.workers.values()][0] as SmoothedLoad;
      const large: RebalanceState = {
        ...rebalanceState,
        shardCount: 16_000,
        workers: new Map(racers.flatMap((id) => Array.from({ length: 20 }, (_, index) => [`${id}${index}`, load]))),
        movedAtMs: new Map(
          Array.from({ length: 16_000 }, (_, id) => [id, rebalanceState.atMs - ((id * 7919) % 900_000)]),
        ),
      };
      expect(await store.swapRebalanceState(undefined, large)).toMatchObject({ kind: 'done' });
      expect(await store.readRebalanceState()).toEqual({ ...large, version: 1 });
    });
  });

  describe('rosters', () => {
    test('of 2,500 guilds come back whole, and the last one written holds', async () => {
      const store = await open(clock);
      expect(await store.readRoster(shard)).toBeUndefined();
      const ids = Array.from({ length: 2500 }, (_, index) =>
        (1_180_000_000_000_000_000n + BigInt(index) ** 5n).toString(),
      );
      const roster = {
        userId: '80351110224678912',
        applicationId: '18446744073709551615',
        readyAtMs: 1_790_000_000_000,
        session: '9f8e7d6c',
        guilds: new Map(ids.map((id, index) => [id, index * 997])),
      };
      expect(await store.writeRoster(shard, 3, roster)).toBe(true);
      expect(await store.readRoster(shard)).toEqual(roster);
      const smaller = { ...roster, guilds: new Map([['1', 0]]) };
      expect(await store.writeRoster(shard, 2, roster)).toBe(false);
      expect(await store.writeRoster(shard, 3, smaller)).toBe(true);
      expect(await store.readRoster(shard)).toEqual(smaller);
      expect(await store.readRoster({ shardId: 3, shardCount: 32 })).toBeUndefined();
    });
  });

  describe('reports', () => {
    test('are listed as written until nobody has renewed them for a while', async () => {
      const clock = new ManualClock();
      const store = await open(clock);
      await store.writeReport(workerReport(beta));
      await clock.advance(reportLifetimeMs / 2);
      await store.writeReport({ ...workerReport(alpha), shards: [] });
      await store.writeReport(workerReport(alpha));
      const listed = await store.listReports();
      expect(listed.sort((one, other) => one.incarnation.localeCompare(other.incarnation))).toEqual([
        workerReport(alpha),
        workerReport(beta),
      ]);
      await clock.advance(reportLifetimeMs / 2 + 1000);
      expect(await store.listReports()).toEqual([workerReport(alpha)]);
    });
  });
}
