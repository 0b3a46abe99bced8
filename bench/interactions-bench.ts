import { execFileSync, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { FunctionUrlEvent } from '../functions/interactions/endpoint/function-url-request.ts';
import { createInteractionsEndpoint } from '../functions/interactions/endpoint/interactions-endpoint.ts';
import { RequestSignature } from '../functions/interactions/endpoint/request-signature.ts';
import type { HandlerServices } from '../functions/kit/handler-context.ts';
import { loadHandlers } from '../functions/kit/load-handlers.ts';
import { createRegistry } from '../functions/kit/registry.ts';
import { shardContext } from '../functions/kit/shard-context.ts';
import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';

export interface InteractionsBenchOptions {
  /** Interactions in this process. */
  readonly count: number;
  /** Cold starts of each kind. */
  readonly starts: number;
  readonly json: boolean;
}

interface Quantiles {
  readonly min: number;
  readonly p50: number;
  readonly p99: number;
}

/** Durations are milliseconds. */
export interface InteractionsBenchResult {
  readonly bench: 'interactions';
  readonly node: string;
  readonly cpu: string;
  /** From the event to the response in this process: signature, parsing, handler, with claims in memory. */
  readonly warmMs: { readonly command: Quantiles; readonly ping: Quantiles; readonly refused: Quantiles };
  readonly bundleKb: number;
  /** From the start of a Node process with the bundled file to its first response; the claim goes over HTTP. */
  readonly coldMs: { readonly command: Quantiles; readonly ping: Quantiles };
  /** CPU time of the process until then, which other load on the machine does not change much. */
  readonly coldCpuMs: { readonly command: Quantiles; readonly ping: Quantiles };
}

/** Measures the interactions endpoint: warm in this process, and the cold start of what is deployed. */
export async function benchInteractions(options: InteractionsBenchOptions): Promise<void> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const keys = {
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex'),
    privateKey,
  };
  const warmMs = await measureWarm(keys, options.count);
  const folder = mkdtempSync(join(tmpdir(), 'baton-bench-'));
  try {
    const bundle = join(folder, 'index.mjs');
    execFileSync(process.execPath, [
      resolve(import.meta.dirname, '../infra/bundle.ts'),
      'interactions-endpoint',
      bundle,
    ]);
    const command = await measureCold(keys, bundle, options.starts, pingCommand);
    const ping = await measureCold(keys, bundle, options.starts, pong);
    const result: InteractionsBenchResult = {
      bench: 'interactions',
      node: process.versions.node,
      cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
      warmMs,
      bundleKb: Math.round(statSync(bundle).size / 1000),
      coldMs: { command: command.wallMs, ping: ping.wallMs },
      coldCpuMs: { command: command.cpuMs, ping: ping.cpuMs },
    };
    console.log(options.json ? JSON.stringify(result) : rendered(result).join('\n'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Keys {
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

let made = 0;

/** `/ping` in a guild, made now. */
function pingCommand(): string {
  made += 1;
  const id = String((BigInt(Math.round(systemClock.wallClockMs() - 1_420_070_400_000)) << 22n) + BigInt(made % 4096));
  return JSON.stringify({
    id,
    application_id: '900',
    type: 2,
    token: 'interaction-token',
    version: 1,
    guild_id: '41771983423143937',
    channel_id: '700',
    locale: 'en-US',
    member: { user: { id: '53908232506183680', username: 'somebody' }, roles: [], permissions: '0' },
    data: { id: '1', name: 'ping', type: 1 },
  });
}

function pong(): string {
  return JSON.stringify({ id: '1', application_id: '900', type: 1, token: 't', version: 1 });
}

function signed({ privateKey }: Keys, body: string): FunctionUrlEvent {
  const timestamp = String(Math.floor(systemClock.wallClockMs() / 1000));
  return {
    headers: {
      'content-type': 'application/json',
      'x-signature-ed25519': sign(null, Buffer.from(timestamp + body), privateKey).toString('hex'),
      'x-signature-timestamp': timestamp,
    },
    body,
    isBase64Encoded: false,
    requestContext: { http: { method: 'POST' } },
  };
}

async function measureWarm(keys: Keys, count: number): Promise<InteractionsBenchResult['warmMs']> {
  const endpoint = createInteractionsEndpoint({
    registry: createRegistry(await loadHandlers()),
    signature: new RequestSignature(keys.publicKey),
    claims: { claim: async () => true },
    // `/ping` asks for none.
    services: {} as HandlerServices,
    shards: { of: async () => shardContext([0, 1], 0, { figures: unasked, guildIds: unasked }) },
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  const context = { getRemainingTimeInMillis: () => 15_000 };
  const measure = async (make: () => FunctionUrlEvent, statusCode: number): Promise<Quantiles> => {
    const durations: number[] = [];
    for (let n = 0; n < count; n += 1) {
      const event = make();
      const startedMs = systemClock.monotonicMs();
      await endpoint(
        event,
        (response) => {
          if (response.statusCode !== statusCode) throw new Error(`answered with ${response.statusCode}`);
          durations.push(systemClock.monotonicMs() - startedMs);
        },
        context,
      );
    }
    // The first tenth is for compilers.
    return quantiles(durations.slice(Math.floor(count / 10)));
  };
  return {
    command: await measure(() => signed(keys, pingCommand()), 200),
    ping: await measure(() => signed(keys, pong()), 200),
    refused: await measure(() => ({ ...signed(keys, pong()), body: `${pong()} ` }), 401),
  };
}

function unasked(): Promise<never> {
  return Promise.reject(new Error('not asked for here'));
}

/** Stands for Lambda's runtime: loads the function, gives it one event, and tells when the response was out. */
const starter = `
globalThis.awslambda = {
  streamifyResponse: (handler) => handler,
  HttpResponseStream: { from: (stream, prelude) => Object.assign(stream, { prelude }) },
};
const { handler } = await import('./index.mjs');
process.once('message', (event) => {
  const stream = {
    write() {},
    end() {
      const { user, system } = process.cpuUsage();
      const { statusCode } = stream.prelude;
      process.send({ statusCode, wallMs: performance.now(), cpuMs: (user + system) / 1000 }, () => process.exit());
    },
  };
  void handler(event, stream, { getRemainingTimeInMillis: () => 15_000 });
});
process.send('ready');
`;

interface ColdStart {
  readonly statusCode: number;
  readonly wallMs: number;
  readonly cpuMs: number;
}

async function measureCold(keys: Keys, bundle: string, starts: number, body: () => string) {
  const file = join(bundle, '..', 'start.mjs');
  writeFileSync(file, starter);
  // A table that takes every claim.
  const table = createServer((request, response) => {
    request
      .resume()
      .on('end', () => response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}'));
  });
  table.listen(0, '127.0.0.1');
  await once(table, 'listening');
  const measured: ColdStart[] = [];
  try {
    for (let n = 0; n < starts; n += 1) {
      const child = spawn(process.execPath, [file], {
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        env: {
          AWS_REGION: 'us-east-1',
          AWS_ACCESS_KEY_ID: 'bench',
          AWS_SECRET_ACCESS_KEY: 'bench',
          AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${(table.address() as AddressInfo).port}`,
          BATON_LOG_LEVEL: 'error',
          DISCORD_TOKEN: 'bench',
          DISCORD_PUBLIC_KEY: keys.publicKey,
        },
      });
      await once(child, 'message');
      child.send(signed(keys, body()));
      const [start] = (await once(child, 'message')) as [ColdStart];
      await once(child, 'exit');
      if (start.statusCode !== 200) throw new Error(`a cold start answered with ${start.statusCode}`);
      measured.push(start);
    }
  } finally {
    table.close();
    table.closeAllConnections();
  }
  return {
    wallMs: quantiles(measured.map(({ wallMs }) => wallMs)),
    cpuMs: quantiles(measured.map(({ cpuMs }) => cpuMs)),
  };
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((one, other) => one - other);
  const at = (share: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return Math.round(value * 1000) / 1000;
  };
  return { min: at(0), p50: at(0.5), p99: at(0.99) };
}

function rendered({ node, cpu, warmMs, bundleKb, coldMs, coldCpuMs }: InteractionsBenchResult): string[] {
  const shown = ({ min, p50, p99 }: Quantiles) => `min ${min}, p50 ${p50}, p99 ${p99} ms`;
  return renderTable([
    ['machine', `${cpu}, Node ${node}`],
    ['warm: command', shown(warmMs.command)],
    ['warm: PING', shown(warmMs.ping)],
    ['warm: refused', shown(warmMs.refused)],
    ['bundle', `${bundleKb} kB`],
    ['cold: command', shown(coldMs.command)],
    ['cold: PING', shown(coldMs.ping)],
    ['cold: command, CPU', shown(coldCpuMs.command)],
    ['cold: PING, CPU', shown(coldCpuMs.ping)],
  ]);
}
