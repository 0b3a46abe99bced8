import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleProgram, type HandlerLists, type ProgramName } from '../../infra/bundle.ts';
import { handlersFolder, handlersProblem, listHandlers } from '../../infra/handler-lists.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A folder with one module of handlers. */
function handlersOf(name: string, text: string): string {
  const handlers = join(folder, name, 'handlers');
  mkdirSync(handlers, { recursive: true });
  writeFileSync(join(handlers, 'voice.mjs'), text);
  return handlers;
}

const listening = "export const voice = { kind: 'event', types: ['VOICE_STATE_UPDATE'], run: () => 'of-mine' };";

/** The lists of these handlers, in a folder of their own. */
function listsAt(name: string, handlers: string): HandlerLists {
  const staging = join(folder, name);
  mkdirSync(staging);
  const listFile = join(staging, 'handlers.generated.ts');
  const manifestFile = join(staging, 'handler-manifest.generated.ts');
  writeFileSync(listFile, `import * as m from '${join(handlers, 'voice.mjs')}'; export const handlerFiles = [m];`);
  writeFileSync(manifestFile, "export const handlerManifest = { eventTypes: ['VOICE_STATE_UPDATE'], intents: 129 };");
  return { handlers, listFile, manifestFile };
}

test('bundles hold the given handlers and what they ask for, and depend on nothing but the sources', () => {
  const handlers = handlersOf('bot', listening);
  const bundled = (name: string, programs: readonly ProgramName[]) => {
    const output = join(folder, `${name}-output`);
    const lists = listsAt(`${name}-staging`, handlers);
    for (const program of programs) bundleProgram(program, join(output, `${program}.mjs`), lists);
    return Object.fromEntries(readdirSync(output).map((file) => [file, readFileSync(join(output, file), 'utf8')]));
  };
  const one = bundled('one', ['events', 'worker']);
  const other = bundled('other', ['events']);
  expect(Object.keys(one).sort()).toEqual([
    'events.mjs',
    'events.mjs.map',
    'sandbox-thread.mjs',
    'sandbox-thread.mjs.map',
    'worker.mjs',
    'worker.mjs.map',
  ]);
  expect(one['events.mjs']).toContain('of-mine');
  expect(one['worker.mjs']).toContain('VOICE_STATE_UPDATE');
  expect(one['worker.mjs']).not.toContain('of-mine');
  const { sources } = JSON.parse(one['events.mjs.map'] as string) as { sources: string[] };
  expect(sources).toContain('handlers/voice.mjs');
  // Compared as wholes: a difference of two bundles is nothing to print.
  for (const [file, text] of Object.entries(other)) expect(one[file] === text, file).toBe(true);
}, 120_000);

test('handlers with a mistake end the synthesis with the file and the rule', () => {
  const handlers = handlersOf('broken', "throw new Error('not today')");
  expect(() => listHandlers(handlers)).toThrow(/handlers=.*broken.*voice\.mjs: does not load: not today$/);
});

test('a folder that is not there is named', () => {
  expect(handlersProblem(handlersFolder(join(folder, 'nowhere')))).toMatch(/handlers=\/.*nowhere must be a folder/);
  expect(handlersProblem(handlersFolder(undefined))).toBeUndefined();
});
