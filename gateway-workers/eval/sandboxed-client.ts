/**
 * The first script of every sandbox. It is evaluated to a function that takes the shard's view as JSON, defines
 * `client`, and returns the two functions the host needs afterwards. Those keep the built-ins they use in variables
 * of their own, because the code that runs between may replace every built-in there is.
 */
export const prelude = `(function (viewJson, maxMessageLength) {
  'use strict';
  const { stringify, parse } = JSON;
  const string = String;
  const typeError = TypeError;
  const slice = Function.prototype.call.bind(String.prototype.slice);
  const { freeze, defineProperty } = Object;

  class Collection extends Map {
    map(run) { const values = []; for (const [key, value] of this) values.push(run(value, key, this)); return values; }
    filter(run) { const kept = new Collection(); for (const [key, value] of this) if (run(value, key, this)) kept.set(key, value); return kept; }
    find(run) { for (const [key, value] of this) if (run(value, key, this)) return value; return undefined; }
    some(run) { for (const [key, value] of this) if (run(value, key, this)) return true; return false; }
    every(run) { for (const [key, value] of this) if (!run(value, key, this)) return false; return true; }
    reduce(run, ...initial) {
      let result = initial[0]; let isFirst = initial.length === 0;
      for (const [key, value] of this) { if (isFirst) { result = value; isFirst = false; } else result = run(result, value, key, this); }
      if (isFirst) throw new typeError('Reduce of empty collection with no initial value');
      return result;
    }
    first(count) { const values = [...this.values()]; return count === undefined ? values[0] : values.slice(0, count); }
    last(count) { const values = [...this.values()]; return count === undefined ? values.at(-1) : count === 0 ? [] : values.slice(-count); }
    at(index) { return [...this.values()].at(index); }
    toJSON() { return [...this.values()]; }
  }

  const notKept = (owner, names) => {
    for (const name of names) {
      defineProperty(owner, name, {
        get() { throw new typeError(name + ' is not kept on workers: read it from the directory, or ask for it in a handler'); },
      });
    }
    return owner;
  };

  class Guild {
    constructor(id, memberCount, shardId) { this.id = id; this.memberCount = memberCount; this.shardId = shardId; freeze(this); }
  }
  freeze(notKept(Guild.prototype, ['name', 'icon', 'owner', 'ownerId', 'channels', 'members', 'roles', 'emojis']));

  const view = parse(viewJson);
  const guilds = new Collection();
  for (const [id, memberCount] of view.guilds) guilds.set(id, new Guild(id, memberCount, view.shardId));
  const client = notKept({
    guilds: freeze({ cache: freeze(guilds) }),
    users: freeze({ cache: freeze(notKept({ size: view.userCount }, ['map', 'filter', 'find', 'some', 'every', 'reduce', 'get', 'has', 'first', 'last'])) }),
    ws: freeze({ ping: view.pingMs, status: view.isReady ? 0 : 3 }),
    shard: freeze({ ids: freeze([view.shardId]), count: view.shardCount, worker: view.workerId }),
    user: view.userId === null ? null : freeze({ id: view.userId }),
    application: view.applicationId === null ? null : freeze({ id: view.applicationId }),
    uptime: view.uptimeMs,
    isReady() { return view.isReady; },
  }, ['channels', 'emojis', 'rest', 'token']);
  freeze(client);
  // Code written for discord.js says "this.guilds" as often as "client.guilds".
  for (const name of Object.keys(client)) defineProperty(globalThis, name, { value: client[name], configurable: true, writable: true });
  defineProperty(globalThis, 'client', { value: client, enumerable: true });

  return {
    /** The result as JSON. */
    toJson(result, maxLength) {
      if (typeof result === 'function') throw new typeError('the result is a function, which has no JSON: write the expression itself, such as client.guilds.cache.size');
      if (typeof result === 'symbol') throw new typeError('the result is a symbol, which has no JSON');
      if (result === undefined) return 'null';
      const json = stringify(result);
      if (json === undefined) throw new typeError('the result has no JSON');
      if (json.length > maxLength) throw new typeError('the result has ' + json.length + ' characters of JSON: at most ' + maxLength + ' are allowed; return counts, not lists');
      return json;
    },
    /** What was thrown, in words. */
    describe(thrown) {
      if (typeof thrown !== 'object' || thrown === null) return slice(typeof thrown === 'function' ? 'a function was thrown' : string(thrown), 0, maxMessageLength);
      const { name, message } = thrown;
      const shownName = typeof name === 'string' ? slice(name, 0, 100) : 'Error';
      return typeof message === 'string' && message !== '' ? shownName + ': ' + slice(message, 0, maxMessageLength) : shownName;
    },
  };
})`;
