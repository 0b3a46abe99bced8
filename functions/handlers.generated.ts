// Written by scripts/generate-handler-lists.ts from functions/handlers. Do not edit.
import * as module0 from './handlers/member-greeter.ts';
import * as module1 from './handlers/message-counter.ts';
import * as module2 from './handlers/ping.ts';
import * as module3 from './handlers/shard.ts';
import type { HandlerFile } from './kit/registry.ts';

export const handlerFiles: readonly HandlerFile[] = [
  { file: 'functions/handlers/member-greeter.ts', exports: module0 },
  { file: 'functions/handlers/message-counter.ts', exports: module1 },
  { file: 'functions/handlers/ping.ts', exports: module2 },
  { file: 'functions/handlers/shard.ts', exports: module3 },
];
