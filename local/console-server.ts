import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BatonError } from '../shared/errors.ts';
import type { FleetSnapshot } from './fleet-snapshot.ts';

/** Where the console is when no port is asked for and this one is free. */
const usualPort = 4410;

/** A page on this machine that shows the fleet, and `/state` with the same as JSON. */
export class ConsoleServer {
  readonly url: string;
  readonly #server: Server;

  /**
   * Listens on 127.0.0.1 only. Without `port` any free one will do.
   * @throws {BatonError} `PORT_IN_USE` when `port` is taken.
   */
  static async start(port: number | undefined, snapshot: () => FleetSnapshot): Promise<ConsoleServer> {
    const server = createServer((request, response) => answer(request, response, snapshot));
    try {
      await listen(server, port ?? usualPort);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      if (port !== undefined) {
        throw new BatonError('PORT_IN_USE', `port ${port} is in use: choose another with --port, or 0 for any`);
      }
      await listen(server, 0);
    }
    return new ConsoleServer(server);
  }

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

function answer(request: IncomingMessage, response: ServerResponse, snapshot: () => FleetSnapshot): void {
  // A page elsewhere may have its own name resolve to this machine; it still sends that name.
  if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) {
    response.writeHead(403).end();
    return;
  }
  const send = (type: string, body: string): void => {
    response.writeHead(200, {
      'content-type': `${type}; charset=utf-8`,
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'self' 'unsafe-inline'",
    });
    response.end(request.method === 'HEAD' ? '' : body);
  };
  if (request.method !== 'GET' && request.method !== 'HEAD') response.writeHead(405, { allow: 'GET, HEAD' }).end();
  else if (request.url === '/') send('text/html', page);
  else if (request.url === '/state') send('application/json', JSON.stringify(snapshot()));
  else response.writeHead(404).end();
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Baton</title>
<style>
  body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color-scheme: light dark }
  table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: left }
  #shards { display: flex; flex-wrap: wrap; gap: 4px; margin: 1rem 0 }
  #shards span { width: 2.6rem; text-align: center; border-radius: 4px; background: #c33; color: #fff; font-size: 12px }
  #shards span.ready { background: #2a7d4f }
</style>
<h1>Baton</h1>
<p id="line" role="status">…</p>
<div id="shards"></div>
<table><thead><tr><th>worker<th>state<th>shards<th>CPU<th>RSS<th>events/s</tr></thead><tbody id="workers"></tbody></table>
<ul id="happenings"></ul>
<script type="module">
  const element = (id) => document.getElementById(id);
  const make = (name, text, className = '') => Object.assign(document.createElement(name), { textContent: text, className });
  const rowOf = (cells) => { const row = document.createElement('tr'); row.append(...cells.map((cell) => make('td', cell))); return row; };
  async function refresh() {
    const state = await (await fetch('/state')).json();
    const ready = state.shards.filter((shard) => shard.ready).length;
    element('line').textContent = state.phase + ', ' + Math.round(state.elapsedMs / 1000) + ' s: ' + ready + ' of ' + state.shards.length +
      ' shards ready, ' + state.guildCount + ' guilds, ' + Math.round(state.deliveredPerSecond) + ' events/s, p50 ' + state.latencyMs.p50 + ' ms, p99 ' + state.latencyMs.p99 + ' ms';
    element('shards').replaceChildren(...state.shards.map((shard) =>
      Object.assign(make('span', shard.shardId, shard.ready ? 'ready' : ''), { title: shard.state + ', ' + (shard.workerId ?? 'no worker') })));
    element('workers').replaceChildren(...state.workers.map((worker) => rowOf([worker.workerId + (worker.coordinator ? ' (coordinator)' : ''), worker.state,
      worker.readyShardCount + '/' + worker.shardCount, Math.round(worker.cpuPercent) + ' %', Math.round(worker.rssMb) + ' MB', Math.round(worker.eventsPerSecond)])));
    element('happenings').replaceChildren(...state.happenings.map((each) => make('li', (each.atMs / 1000).toFixed(1) + ' s: ' + each.text)));
  }
  for (;;) {
    await refresh().catch(() => { element('line').textContent = 'the fleet has ended'; });
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
</script>
</html>
`;
