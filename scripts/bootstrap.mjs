import { runCommand } from './bootstrap/run-command.mjs';

await runCommand(process.argv[2] ?? '', process.argv.slice(3));
