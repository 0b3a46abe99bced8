#!/usr/bin/env node
import { runCommand } from './bootstrap/run-command.mjs';

await runCommand('baton', process.argv.slice(2));
