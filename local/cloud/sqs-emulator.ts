import { buildApp } from 'fauxqs';
import { systemClock } from '../../shared/clock.ts';
import { type EmulatorServer, runEmulator } from './emulator-child.ts';
import { type FauxqsStore, loadFauxqs } from './fauxqs-internals.ts';
import { applyFifoRules } from './fifo-rules.ts';

async function start(dataDirectory: string | undefined): Promise<EmulatorServer> {
  const { SqsStore, PersistenceManager } = await loadFauxqs();
  const store = new SqsStore();
  // Queue URLs then carry the address that the request came to, which resolves everywhere.
  store.host = undefined;
  store.region = process.env['AWS_REGION'];
  const createQueue = store.createQueue.bind(store);
  store.createQueue = (...queue) => {
    const created = createQueue(...queue);
    if (created.isFifo()) applyFifoRules(created, systemClock);
    return created;
  };
  const persistence = dataDirectory === undefined ? undefined : new PersistenceManager(dataDirectory);
  if (persistence) {
    // What is acknowledged then survives the end of the process, if not that of the machine, and costs fewer syncs.
    persistence.db.exec('PRAGMA synchronous = NORMAL');
    // Loading first: a store that already persists would delete the messages of each queue that it reads.
    persistence.loadSqsAndSns(store, { topics: new Map(), subscriptions: new Map() });
    store.persistence = persistence;
    for (const queue of store.allQueues()) queue.persistence = persistence;
  }

  const app = buildApp({ logger: false, stores: { sqsStore: store } as unknown as AppStores });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  return {
    port: Number(new URL(address).port),
    close: async () => {
      await app.close();
      persistence?.close();
    },
  };
}

type AppStores = NonNullable<NonNullable<Parameters<typeof buildApp>[0]>['stores']> & { sqsStore: FauxqsStore };

await runEmulator(start);
