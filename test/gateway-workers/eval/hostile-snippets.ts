/**
 * Code that tries to hang, fill, crash or leave the sandbox. `fails`: what the refusal says; `gives`: the value of
 * something that is harmless once it is contained.
 */
export interface HostileSnippet {
  readonly name: string;
  readonly code: string;
  readonly fails?: RegExp;
  readonly gives?: unknown;
}

const tooSlow = /longer than \d+ ms/;
const tooMuchMemory = /out of memory|longer than \d+ ms/;

export const hostileSnippets: readonly HostileSnippet[] = [
  { name: 'infinite loop', code: 'for (;;);', fails: tooSlow },
  {
    name: 'infinite loop that catches everything',
    code: 'for (;;) try { for (;;); } catch {} finally { continue; }',
    fails: tooSlow,
  },
  {
    name: 'generator that never ends',
    code: '[...(function* () { for (;;) yield 0; })()].length',
    fails: tooMuchMemory,
  },
  {
    name: 'memory bomb of arrays',
    code: 'const all = []; for (;;) all.push(new Array(1e5).fill(0));',
    fails: tooMuchMemory,
  },
  { name: 'memory bomb of a buffer', code: 'new ArrayBuffer(2 ** 31 - 1).byteLength', fails: /memory|length|longer/i },
  {
    name: 'string that doubles',
    code: "let text = 'x'; for (;;) text += text; text.length",
    fails: /memory|string too long|longer than/,
  },
  { name: 'string repeated', code: "'x'.repeat(2 ** 29).length", fails: /memory|invalid|too long|longer/i },
  { name: 'string padded', code: "'x'.padEnd(2 ** 30, 'abc').length", fails: /memory|invalid|too long|longer/i },
  { name: 'regular expression that backtracks', code: "/^(a+)+$/.test('a'.repeat(40) + '!')", fails: tooSlow },
  { name: 'deep recursion', code: '(function f() { return f() + 1; })()', fails: /stack|RangeError|longer/i },
  {
    name: 'deep recursion that catches',
    code: '(function f() { try { return f(); } catch { return f(); } })()',
    fails: /stack|longer than/i,
  },
  {
    name: 'deep nesting in the source',
    code: `${'['.repeat(7000)}${']'.repeat(7000)}`,
    fails: /stack|Syntax|JSON|nest|broke|longer/i,
  },
  {
    name: 'deep nesting in the result',
    code: 'let deep = []; for (let i = 0; i < 1e5; i += 1) deep = [deep]; deep',
    fails: /stack|characters|memory|longer/i,
  },
  { name: 'async loop that never ends', code: '(async () => { for (;;) await null; })()', fails: tooSlow },
  {
    name: 'promises that breed',
    code: 'const breed = () => { Promise.resolve().then(breed); Promise.resolve().then(breed); }; breed(); new Promise(() => {})',
    fails: tooMuchMemory,
  },
  { name: 'promise that never settles', code: 'new Promise(() => {})', fails: /never settles/ },
  { name: 'promise that is rejected', code: "Promise.reject(new Error('no'))", fails: /Error: no$/ },
  { name: 'thenable that never calls back', code: '({ then() {}, size: 1 })', gives: { size: 1 } },
  { name: 'process', code: 'process.exit(1)', fails: /process/ },
  {
    name: 'process by typeof',
    code: 'typeof process + typeof Buffer + typeof globalThis.fetch + typeof setTimeout',
    gives: 'undefined'.repeat(4),
  },
  { name: 'require', code: "require('node:child_process').execSync('id')", fails: /require/ },
  { name: 'dynamic import', code: "import('node:fs')", fails: /./ },
  { name: 'static import', code: "import fs from 'node:fs'; fs", fails: /./ },
  {
    name: 'constructor of a constructor',
    code: "client.constructor.constructor('return process')()",
    fails: /process/,
  },
  {
    name: 'constructor of a function of the client',
    code: "client.isReady.constructor('return this.process?.env ?? null')()",
    gives: null,
  },
  { name: 'indirect eval', code: "(0, eval)('typeof require')", gives: 'undefined' },
  {
    name: 'prototype of everything',
    code: "Object.prototype.toJSON = () => 'hijacked'; JSON.stringify = () => '}{'; ({ a: 1 })",
    gives: 'hijacked',
  },
  {
    name: 'prototype in a literal',
    code: `({ "__proto__": { admin: true }, "constructor": { "prototype": { admin: true } } })`,
    gives: { constructor: { prototype: { admin: true } } },
  },
  {
    name: 'own key __proto__ in the result',
    code: `JSON.parse('{"__proto__": {"polluted": true}}')`,
    gives: JSON.parse('{"__proto__": {"polluted": true}}'),
  },
  {
    name: 'built-ins replaced',
    code: "Map = Array = Promise = undefined; String.prototype.slice = () => { throw 1; }; throw new Error('plain')",
    fails: /Error: plain$/,
  },
  { name: 'huge result', code: "'x'.repeat(1e6)", fails: /1000002 characters/ },
  {
    name: 'huge result by toJSON',
    code: "({ toJSON: () => new Array(1e5).fill('x') })",
    fails: /characters|memory|longer/,
  },
  { name: 'toJSON that never returns', code: '({ toJSON() { for (;;); } })', fails: tooSlow },
  {
    name: 'toJSON that returns itself deeper',
    code: 'const nest = () => ({ inner: { toJSON: nest } }); nest()',
    fails: /stack|memory|longer/i,
  },
  { name: 'getter that throws', code: "({ get a() { throw new Error('from a getter'); } })", fails: /from a getter/ },
  { name: 'getter that never returns', code: '({ get a() { for (;;); } })', fails: tooSlow },
  {
    name: 'proxy as the result',
    code: "new Proxy({}, { ownKeys() { throw new Error('trapped'); } })",
    fails: /trapped/,
  },
  {
    name: 'proxy with endless keys',
    code: 'new Proxy({}, { ownKeys: () => Array.from({ length: 1e7 }, (_, i) => String(i)) })',
    fails: /memory|longer/,
  },
  {
    name: 'revoked proxy',
    code: 'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); proxy',
    fails: /revoked/,
  },
  { name: 'cyclic result', code: 'const ring = {}; ring.ring = ring; ring', fails: /circular/ },
  { name: 'BigInt', code: '({ id: 1n })', fails: /BigInt|bigint/ },
  { name: 'symbol', code: "Symbol('s')", fails: /symbol/ },
  { name: 'function', code: '(client) => client.guilds.cache.size', fails: /function.*write the expression itself/ },
  { name: 'Atomics.wait', code: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)', fails: /./ },
  { name: 'error with a hostile message', code: 'throw { get message() { for (;;); } }', fails: tooSlow },
  {
    name: 'error with a throwing message',
    code: 'throw { get message() { throw this; } }',
    fails: /cannot be described/,
  },
  {
    name: 'error with a message that is no string',
    code: 'throw { name: {}, message: { toString() { for (;;); } } }',
    fails: /^eval: Error$/,
  },
  {
    name: 'error with a hostile stack',
    code: "const error = new Error('ok'); Object.defineProperty(error, 'stack', { get() { for (;;); } }); throw error",
    fails: /Error: ok$/,
  },
  { name: 'error with an endless message', code: "throw new Error('x'.repeat(1e6))", fails: /^eval: Error: x{500}$/ },
  { name: 'symbol thrown', code: "throw Symbol('thrown')", fails: /Symbol\(thrown\)/ },
  { name: 'syntax error', code: 'client.guilds.', fails: /SyntaxError/ },
  { name: 'view that is written to', code: "'use strict'; client.guilds.cache.size = 1", fails: /TypeError/ },
  {
    name: 'property of a guild that is not there',
    code: 'client.guilds.cache.first().name',
    fails: /name is not kept on workers/,
  },
  {
    name: 'sort that never agrees',
    code: 'const list = Array.from({ length: 1e6 }, (_, i) => i); list.sort(() => { for (;;); })',
    fails: tooMuchMemory,
  },
  {
    name: 'finalizers and weak references',
    code: 'const registry = new FinalizationRegistry(() => { for (;;); }); registry.register({}, 1); 1',
    gives: 1,
  },
  // Loops inside built-ins, where the engine looks at no clock.
  {
    name: 'search in what is endless',
    code: 'Array.prototype.includes.call({ length: 2 ** 53 - 1 }, 1)',
    fails: tooSlow,
  },
  {
    name: 'join of an endless array',
    code: "new Array(2 ** 32 - 1).join('x').length",
    fails: /memory|longer|too long/i,
  },
  { name: 'power of a BigInt', code: 'String(9n ** 9999999n).length', fails: /memory|longer|range|large/i },
  {
    name: 'quotient of huge BigInts',
    code: 'const n = 1n << 8000000n; (n * n) / (n - 1n) % (n + 7n) > 0n',
    fails: /memory|longer|range|large/i,
  },
  {
    name: 'groups without end',
    code: "new RegExp('('.repeat(8000) + ')'.repeat(8000)).test('')",
    fails: /stack|Syntax|too many|longer|broke|memory/i,
  },
  {
    name: 'replacement that grows',
    code: "let t = 'aaaaaaaaaa'; for (;;) t = t.replace(/a/g, '$&$&$`'); t",
    fails: /memory|longer|too long/i,
  },
  // Traps for what the host does after the code.
  {
    name: 'every object a promise that hangs',
    code: "Object.defineProperty(Object.prototype, 'then', { get() { for (;;); } }); (async () => ({ size: 1 }))()",
    fails: tooSlow,
  },
  {
    name: 'prepareStackTrace',
    code: "Error.prepareStackTrace = () => { for (;;); }; throw new Error('traced')",
    fails: /traced|longer/,
  },
  { name: 'job behind the result', code: 'Promise.resolve().then(() => { for (;;); }); 7', gives: 7 },
  {
    name: 'proxy thrown',
    code: 'throw new Proxy({}, { get: () => { for (;;); }, getPrototypeOf: () => { for (;;); } })',
    fails: tooSlow,
  },
  {
    name: 'name and length of what is bound',
    code: "Function.prototype.call = Function.prototype.bind = Reflect.apply = () => 'ours'; String.prototype.slice = () => 'ours'; throw new Error('still told')",
    fails: /^eval: Error: still told$/,
  },
  {
    name: 'TypeError replaced',
    code: "Object.defineProperty(TypeError.prototype, 'name', { get() { for (;;); } }); () => 1",
    fails: tooSlow,
  },
  {
    name: 'WebAssembly',
    code: 'typeof WebAssembly + typeof fetch + typeof setTimeout + typeof postMessage',
    gives: 'undefined'.repeat(4),
  },
  { name: 'module of the engine', code: "import('std').then((std) => std.open('/etc/passwd', 'r'))", fails: /./ },
  { name: 'half a character', code: "'\\ud800'", gives: '\ud800' },
  { name: 'zeros in the result', code: "({ a: 'x\\0y' })", gives: { a: 'x\0y' } },
];
