import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { moduleExtension } from '../shared/module-extension.ts';
import { type HandlerLists, repositoryRoot } from './bundle.ts';
import { stagingFolder } from './staging-folder.ts';

const listed = new Map<string, HandlerLists>();

/** The folder of handlers that a path means: that of this package unless one is given. */
export function handlersFolder(path: string | undefined): string {
  return resolve(path ?? join(repositoryRoot, 'functions/handlers'));
}

/**
 * Lists the handlers of a folder as they are now, so that a deployed bot has every handler that is saved. They are
 * loaded in a process of their own: constructs are made without waiting, and loading a module is a wait.
 * @throws {Error} with everything that is wrong with the handlers.
 */
export function listHandlers(handlers: string): HandlerLists {
  const known = listed.get(handlers);
  if (known) return known;
  const folder = stagingFolder();
  const lists = {
    handlers,
    listFile: join(folder, 'handlers.generated.ts'),
    manifestFile: join(folder, 'handler-manifest.generated.ts'),
  };
  const program = join(repositoryRoot, `functions/kit/handler-lists-program${moduleExtension}`);
  const { status, stderr } = spawnSync(process.execPath, [program, handlers, lists.listFile, lists.manifestFile], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0) throw new Error(`BatonFleet: handlers=${handlers}: ${stderr.trim()}`);
  listed.set(handlers, lists);
  return lists;
}

/** What is wrong with the setting, if anything is. */
export function handlersProblem(handlers: string): string | undefined {
  return statSync(handlers, { throwIfNoEntry: false })?.isDirectory() === true
    ? undefined
    : `handlers=${handlers} must be a folder`;
}
