/**
 * The parts of fauxqs (2.4.1, pinned) that the queue emulator uses below its public entry. That entry listens on every
 * network interface and leaves no way to a queue's FIFO rules. The package has no types for these files.
 */
export interface FauxqsModules {
  readonly SqsStore: new () => FauxqsStore;
  readonly PersistenceManager: new (dataDirectory: string) => FauxqsPersistence;
}

export interface FauxqsStore {
  host: string | undefined;
  region: string | undefined;
  persistence: FauxqsPersistence | undefined;
  createQueue(
    name: string,
    url: string,
    arn: string,
    attributes?: Record<string, string>,
    tags?: Record<string, string>,
  ): FauxqsQueue;
  allQueues(): Iterable<FauxqsQueue>;
  shutdown(): void;
}

export interface FauxqsPersistence {
  readonly db: { exec(sql: string): void };
  loadSqsAndSns(sqs: FauxqsStore, sns: FauxqsTopicStore): void;
  close(): void;
}

/** Topics are not used; the loader asks for their store all the same. */
export interface FauxqsTopicStore {
  readonly topics: Map<string, unknown>;
  readonly subscriptions: Map<string, unknown>;
}

export interface FauxqsMessage {
  readonly messageGroupId?: string;
  readonly sequenceNumber?: string;
}

export interface FauxqsDelivery {
  readonly ReceiptHandle: string;
}

/** A message that was handed out and not yet deleted. */
export interface FauxqsInFlight {
  readonly message: FauxqsMessage;
}

export interface FauxqsDeduplicationCache {
  get(id: string): unknown;
  set(id: string, original: unknown): void;
}

export interface FauxqsQueue {
  readonly name: string;
  persistence: FauxqsPersistence | undefined;
  readonly inflightMessages: Map<string, FauxqsInFlight>;
  /** Messages that wait, by group, in order. */
  readonly fifoMessages: Map<string, FauxqsMessage[]>;
  /** Groups with messages in flight, and how many. */
  readonly fifoLockedGroups: Map<string, number>;
  deduplicationCache: FauxqsDeduplicationCache;
  isFifo(): boolean;
  processTimers(): void;
  changeVisibility(receiptHandle: string, timeoutSeconds: number): void;
  dequeueFifo(maxCount: number, visibilityTimeout: number | undefined, deadLetterQueue: unknown): FauxqsDelivery[];
}

export async function loadFauxqs(): Promise<FauxqsModules> {
  const entry = import.meta.resolve('fauxqs');
  const load = (path: string): Promise<unknown> => import(new URL(path, entry).href);
  const [store, persistence] = await Promise.all([load('./sqs/sqsStore.js'), load('./persistence.js')]);
  return { ...(store as object), ...(persistence as object) } as FauxqsModules;
}
