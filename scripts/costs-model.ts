import { prices, secondsPerMonth } from '../infra/prices.ts';

/** What a fleet has to do, and what it is made of. Rates are averages over a month, not peaks. */
export interface CostInput {
  readonly shards: number;
  /** Forwarded events a second of one shard: those that some handler asks for. */
  readonly eventsPerShard: number;
  /** Interactions a second of the whole bot. */
  readonly interactions: number;
  readonly shardsPerWorker: number;
  readonly minWorkers: number;
  /** CPU units of a worker: 1024 is one vCPU. */
  readonly workerCpu: number;
  readonly workerMemoryMb: number;
  /** Share of the workers on Fargate Spot, from 0 to 1. */
  readonly spotShare: number;
  readonly lingerMs: number;
  readonly eventBytes: number;
  /** Share of the forwarded events, from 0 to 1, that change the directory. */
  readonly directoryShare: number;
  /** Envelopes of one receive, and so of one invocation: 1 to 10. */
  readonly envelopesPerReceive: number;
  readonly handlerMsPerEvent: number;
  readonly functionMemoryMb: number;
}

/** A middling bot: what one gets without a word on the command line. */
export const defaultCostInput: CostInput = {
  shards: 16,
  eventsPerShard: 30,
  interactions: 1,
  shardsPerWorker: 50,
  minWorkers: 2,
  workerCpu: 1024,
  workerMemoryMb: 2048,
  spotShare: 0,
  lingerMs: 250,
  eventBytes: 750,
  directoryShare: 0.03,
  envelopesPerReceive: 5,
  handlerMsPerEvent: 0.5,
  functionMemoryMb: 512,
};

export interface CostLine {
  readonly what: string;
  readonly dollars: number;
  /** How it comes about. */
  readonly because: string;
}

export interface CostEstimate {
  readonly workers: number;
  readonly eventsPerSecond: number;
  readonly eventsPerEnvelope: number;
  /** `SendMessageBatch` requests of all workers, and the checkpoint writes before them. */
  readonly sendsPerSecond: number;
  readonly intentsPerSecond: number;
  /** SQS requests that AWS bills, for each event from the socket to its handler. */
  readonly requestsPerEvent: number;
  readonly lines: readonly CostLine[];
  readonly dollars: number;
}

/** What Spot saves on average; its price floats (50 to 70 %). */
const spotDiscount = 0.6;
/** Header and attribute names of an envelope. */
const envelopeOverheadBytes = 350;
/** What an invocation takes besides its handlers: decoding, and the runtime's own time. */
const invocationMs = 5;
const interactionMs = 50;
const maxBatch = 10;
/** Polls of an idle queue by Lambda, in requests a second. */
const idlePollsPerSecond = 0.25;
const heartbeatSeconds = 3;
const reportSeconds = 5;
/** Bytes of items in the coordination table, as `dynamodb-store-items.ts` writes them. */
const itemBytes = { checkpoint: 200, checkpointPerShard: 32, reportPerShard: 30, lease: 250, workerRecord: 350 };
/** A change of a channel, thread or role: the item of its kind, now and then the head; head and kind are read first. */
const directoryUnits = { writes: 1.5, reads: 2 };
const alarmCount = 29;
/** Metrics from logs that occur in a normal month; the others cost nothing while they are silent. */
const usualLogMetricCount = 6;
/** Metrics that the stats function writes: of the fleet, and of each worker. */
const fleetMetricCount = 12;
const workerMetricCount = 4;
/** Of the figures of shards that are kept each minute. */
const shardsPerStatsItem = 256;
const statsItemBytes = 3200;
const minuteSeconds = 60;
const minutesPerMonth = secondsPerMonth / minuteSeconds;
/** Bytes that a worker and an invocation log. */
const workerLogBytesPerSecond = 50;
const interactionLogBytes = 400;
/** The stats function writes a line of metrics of the fleet and one of each worker, every minute. */
const fleetMetricsBytes = 900;
const workerMetricsBytes = 350;
/** Rebalance and stats run every minute, the directory every five; each reads the leases. */
const upkeepRoundsPerMinute = 2.2;
const upkeepMemoryMb = 512;
const upkeepMs = { round: 1000, perShard: 0.1 };
/** Ages of the two queues, which SQS itself does not tell. */
const metricReadsPerMinute = 2;

/** Estimates a month of a fleet in us-east-1. Pure arithmetic over `infra/prices.ts`. */
export function estimateCosts(input: CostInput): CostEstimate {
  const workers = Math.max(input.minWorkers, Math.ceil(input.shards / input.shardsPerWorker));
  const flow = eventFlow(input, workers);
  const lines = [
    ...workerCosts(input, workers),
    ...queueCosts(input, flow, workers),
    ...functionCosts(input, flow),
    ...tableCosts(input, flow, workers),
    ...watchingCosts(input, workers),
  ];
  return {
    workers,
    eventsPerSecond: flow.events,
    eventsPerEnvelope: flow.events === 0 ? 0 : flow.events / flow.envelopes,
    sendsPerSecond: flow.sendRequests,
    intentsPerSecond: checkpointWrites(flow, workers),
    requestsPerEvent:
      flow.events === 0 ? 0 : (flow.sendRequests + flow.receiveRequests + flow.deleteRequests) / flow.events,
    lines,
    dollars: lines.reduce((sum, { dollars }) => sum + dollars, 0),
  };
}

/** Rates a second of the whole fleet. */
interface EventFlow {
  readonly events: number;
  readonly envelopes: number;
  /** Flush cycles that have something to send. */
  readonly flushes: number;
  readonly sendRequests: number;
  readonly receiveRequests: number;
  readonly deleteRequests: number;
  readonly invocations: number;
}

function eventFlow(input: CostInput, workers: number): EventFlow {
  const { shards, eventsPerShard, lingerMs, eventBytes, envelopesPerReceive } = input;
  const perLinger = (eventsPerShard * lingerMs) / 1000;
  // What the flush cycle does (gateway-workers/publishing/flush-cycle.ts), as `npm run bench -- requests` finds it.
  const eventsPerEnvelope =
    eventsPerShard === 0 ? 0 : Math.max(perLinger, Math.min(worthSendingEvents, 1 + 1.4 * perLinger));
  const envelopes = eventsPerShard === 0 ? 0 : (shards * eventsPerShard) / eventsPerEnvelope;
  const flushes = eventsPerShard === 0 ? 0 : workers / flushIntervalSeconds(input, shards / workers, eventsPerEnvelope);
  const envelopesPerFlush = flushes === 0 ? 0 : envelopes / flushes;
  const envelopeBytes = envelopeOverheadBytes + (eventsPerEnvelope * eventBytes) / compressionRatio(eventsPerEnvelope);
  const requestsFor = (inOne: number) =>
    (envelopes / inOne) * Math.ceil((inOne * envelopeBytes) / prices.sqs.requestBytes);
  const inBatch = Math.max(1, Math.min(maxBatch, envelopesPerFlush));
  return {
    events: shards * eventsPerShard,
    envelopes,
    flushes,
    sendRequests: requestsFor(inBatch),
    receiveRequests: requestsFor(envelopesPerReceive),
    deleteRequests: envelopes / envelopesPerReceive,
    invocations: envelopes / envelopesPerReceive,
  };
}

/** With so many events a shard waits for no more. */
const worthSendingEvents = 20;
const longestWaitLingers = 1.9;

/** Seconds from one flush of a worker to the next. */
function flushIntervalSeconds(
  { eventsPerShard, lingerMs }: CostInput,
  shards: number,
  eventsPerEnvelope: number,
): number {
  const linger = lingerMs / 1000;
  if (eventsPerShard * linger >= worthSendingEvents) return linger;
  const longestWait = linger * longestWaitLingers;
  const perWait = eventsPerShard * longestWait;
  // Whoever has anything goes along while there is room in the request: the next flush is that of the next event.
  if (shards * (1 - Math.exp(-perWait)) <= maxBatch) return longestWait + 1 / (shards * eventsPerShard);
  // Lively shards become due together; of quiet ones some are due all the time.
  return perWait >= 5 ? eventsPerEnvelope / eventsPerShard : linger;
}

/** Measured with zstd on Discord-like events of 0.75 KB, by the number packed together; straight lines on a logarithmic scale between. */
const measuredRatios = [
  [1, 1.4],
  [10, 3.9],
  [30, 4.7],
  [100, 5.6],
  [300, 6.3],
] as const;

function compressionRatio(events: number): number {
  let [lowerEvents, lowerRatio]: readonly [number, number] = measuredRatios[0];
  for (const [upperEvents, upperRatio] of measuredRatios) {
    if (events <= upperEvents) {
      const share =
        upperEvents === lowerEvents ? 0 : Math.log(events / lowerEvents) / Math.log(upperEvents / lowerEvents);
      return lowerRatio + Math.max(0, share) * (upperRatio - lowerRatio);
    }
    [lowerEvents, lowerRatio] = [upperEvents, upperRatio];
  }
  return lowerRatio;
}

function workerCosts({ workerCpu, workerMemoryMb, spotShare }: CostInput, workers: number): CostLine[] {
  const { armPerVcpuHour, armPerGbHour, publicIpv4PerHour } = prices.fargate;
  const taskPerHour = (workerCpu / 1024) * armPerVcpuHour + (workerMemoryMb / 1024) * armPerGbHour;
  const perMonth = (perHour: number) => workers * perHour * (secondsPerMonth / 3600);
  return [
    {
      what: 'Fargate',
      dollars: perMonth(taskPerHour * (1 - spotShare * spotDiscount)),
      because: `${workers} workers of ${workerCpu / 1024} vCPU and ${workerMemoryMb / 1024} GB${spotShare > 0 ? `, ${Math.round(spotShare * 100)} % on Spot` : ''}`,
    },
    { what: 'Public IPv4', dollars: perMonth(publicIpv4PerHour), because: 'an address each, instead of a NAT gateway' },
  ];
}

function queueCosts({ interactions }: CostInput, flow: EventFlow, workers: number): CostLine[] {
  const { fifoPerMillion, standardPerMillion } = prices.sqs;
  const events = flow.sendRequests + flow.receiveRequests + flow.deleteRequests + idlePollsPerSecond;
  // Sent, received and deleted one by one, and a worker waits on its control queue five seconds at a time.
  const others = 3 * interactions + idlePollsPerSecond + workers / 5;
  return [
    {
      what: 'SQS events',
      dollars: perMillion(events, fifoPerMillion),
      because: `${figure(events)} requests a second, ${figure(flow.envelopes)} envelopes`,
    },
    {
      what: 'SQS interactions, control',
      dollars: perMillion(others, standardPerMillion),
      because: `${figure(others)} requests a second`,
    },
  ];
}

function functionCosts(input: CostInput, { events, invocations }: EventFlow): CostLine[] {
  const { shards, interactions, handlerMsPerEvent, functionMemoryMb } = input;
  const rounds = upkeepRoundsPerMinute / minuteSeconds;
  const busyMs = invocations * invocationMs + events * handlerMsPerEvent;
  const cost = (calls: number, ms: number, memoryMb: number) =>
    perMillion(calls, prices.lambda.perMillionInvocations) +
    (ms / 1000) * (memoryMb / 1024) * prices.lambda.armPerGbSecond * secondsPerMonth;
  return [
    {
      what: 'Lambda events',
      dollars: cost(invocations, busyMs, functionMemoryMb),
      because: `${figure(invocations)} invocations a second, ${handlerMsPerEvent} ms an event`,
    },
    {
      what: 'Lambda interactions',
      dollars: cost(interactions, interactions * interactionMs, functionMemoryMb),
      because: `${figure(interactions)} a second of ${interactionMs} ms`,
    },
    {
      what: 'Every minute',
      dollars:
        cost(rounds, rounds * (upkeepMs.round + shards * upkeepMs.perShard), upkeepMemoryMb) +
        (metricReadsPerMinute * minutesPerMonth * prices.cloudwatch.perThousandReads) / 1000,
      because: 'rounds of rebalancing, stats and the directory, and the ages of the queues',
    },
  ];
}

/** A flush is also the heartbeat. */
function checkpointWrites({ flushes }: EventFlow, workers: number): number {
  return Math.max(flushes, workers / heartbeatSeconds);
}

function tableCosts({ shards, interactions, directoryShare }: CostInput, flow: EventFlow, workers: number): CostLine[] {
  const { perMillionWriteUnits, perMillionReadUnits, writeUnitBytes, readUnitBytes } = prices.dynamodb;
  const perWorker = shards / workers;
  const writeUnits = (bytes: number) => Math.ceil(bytes / writeUnitBytes);
  const readUnits = (bytes: number) => Math.max(1, bytes / readUnitBytes);
  const checkpoints = checkpointWrites(flow, workers);
  const reports = workers / reportSeconds;
  const writes =
    checkpoints * writeUnits(itemBytes.checkpoint + perWorker * itemBytes.checkpointPerShard) +
    reports * writeUnits(300 + perWorker * itemBytes.reportPerShard) +
    // The stats function, every minute.
    (2 + Math.ceil(shards / shardsPerStatsItem) * writeUnits(statsItemBytes)) / minuteSeconds +
    // The coordinator moves its counter every second.
    1;
  const changes = flow.events * directoryShare;
  const leaseReadSeconds = Math.max(heartbeatSeconds, shards * 0.004);
  const reads =
    // Every worker: the coordinator's role, the list of workers; and all leases every now and then.
    workers * (1 + readUnits(workers * itemBytes.workerRecord)) +
    ((workers + 1) * readUnits(shards * itemBytes.lease)) / leaseReadSeconds +
    // The stats function, every minute.
    readUnits(shards * (itemBytes.lease + itemBytes.reportPerShard)) / minuteSeconds +
    // The coordinator and its successor watch the counters of all.
    2 * workers;
  return [
    {
      what: 'DynamoDB coordination',
      dollars: perMillion(writes, perMillionWriteUnits) + perMillion(reads, perMillionReadUnits),
      because: `${figure(writes)} write units and ${figure(reads)} read units a second: ${figure(checkpoints)} intents`,
    },
    {
      what: 'DynamoDB directory',
      dollars:
        perMillion(interactions + changes * directoryUnits.writes, perMillionWriteUnits) +
        perMillion(changes * directoryUnits.reads, perMillionReadUnits),
      because: `${figure(changes)} changes of guilds a second, a claim for each interaction; what handlers store comes on top`,
    },
  ];
}

function watchingCosts({ interactions }: CostInput, workers: number): CostLine[] {
  const { perMetric, perAlarm, perDashboard, logsPerGb } = prices.cloudwatch;
  const metricCount = usualLogMetricCount + fleetMetricCount + workers * workerMetricCount;
  const logBytesPerSecond =
    workers * workerLogBytesPerSecond +
    interactions * interactionLogBytes +
    (fleetMetricsBytes + workers * workerMetricsBytes) / minuteSeconds;
  const logBytes = logBytesPerSecond * secondsPerMonth;
  return [
    {
      what: 'CloudWatch',
      dollars: alarmCount * perAlarm + perDashboard + metricCount * perMetric + (logBytes / 1e9) * logsPerGb,
      because: `${alarmCount} alarms, a dashboard, ${metricCount} metrics, ${figure(logBytes / 1e9)} GB of logs`,
    },
    { what: 'Secrets Manager', dollars: prices.secretsManager.perSecret, because: 'one secret' },
  ];
}

function perMillion(perSecond: number, dollars: number): number {
  return (perSecond * secondsPerMonth * dollars) / 1e6;
}

/** Three digits, as an estimate deserves. */
export function figure(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 });
}
