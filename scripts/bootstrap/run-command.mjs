import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { installDependencies } from './dependencies.mjs';
import {
  endWithParent,
  isTooOld,
  minimumNodeVersion,
  packageRoot,
  resolveNode24,
  runUnder,
  startedByFallback,
} from './node-runtime.mjs';

/**
 * `module` exports `main(args)`, which resolves to the exit code. `development`: the command needs the development
 * packages too. `npmOnly`: only npm ever starts it, so it ends when npm is gone. `graceMs`: how long the command may
 * take to end in good order once its parent is gone.
 */
const commands = {
  start: { module: 'local/cli.ts', leading: ['start'], development: false, npmOnly: true, graceMs: 3000 },
  chaos: { module: 'local/cli.ts', leading: ['chaos'], development: false, npmOnly: true, graceMs: 3000 },
  simulate: { module: 'test/simulation/main.ts', leading: [], development: true, npmOnly: true, graceMs: 1000 },
  baton: { module: 'local/cli.ts', leading: [], development: false, npmOnly: false, graceMs: 30_000 },
  test: { module: 'scripts/test.ts', leading: [], development: true, npmOnly: true, graceMs: 1000 },
  'test:dynamodb-local': {
    module: 'scripts/dynamodb-local.ts',
    leading: [],
    development: true,
    npmOnly: true,
    graceMs: 3000,
  },
  check: { module: 'scripts/check.ts', leading: [], development: true, npmOnly: true, graceMs: 1000 },
  costs: { module: 'scripts/costs.ts', leading: [], development: true, npmOnly: true, graceMs: 1000 },
  package: { module: 'scripts/package.ts', leading: [], development: true, npmOnly: true, graceMs: 1000 },
  synth: { module: 'infra/app.ts', leading: [], development: true, npmOnly: false, graceMs: 3000 },
  bench: { module: 'bench/run.ts', leading: [], development: true, npmOnly: true, graceMs: 3000 },
};

/**
 * The way into every command of this package, on any Node from 18 on: installs missing or stale dependencies, changes
 * to Node 24 where the running Node is too old, and otherwise runs the command in this very process.
 * The command's exit code ends up in `process.exitCode`.
 */
export async function runCommand(name, args) {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) {
    console.error(`unknown command ${JSON.stringify(name)}: it must be one of ${Object.keys(commands).join(', ')}`);
    process.exitCode = 2;
    return;
  }
  try {
    process.exitCode = await run(name, command, args);
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  }
  // Unreferenced: it strikes only when something was left open, and then the command ends all the same.
  setTimeout(() => process.exit(), 3000).unref();
}

async function run(name, command, args) {
  if (!startedByFallback && isTooOld(process.versions.node)) {
    console.error(
      `Node ${process.versions.node} is too old (${minimumNodeVersion} or newer is needed): ` +
        'running under Node 24 from the npm registry.',
    );
    const nodePath = await resolveNode24();
    await installDependencies({ nodePath, development: command.development });
    return runUnder(nodePath, join(packageRoot, 'scripts/bootstrap.mjs'), [name, ...args], command.npmOnly);
  }
  endWithParent(command);
  await installDependencies({ nodePath: process.execPath, development: command.development });
  const { main } = await import(pathToFileURL(join(packageRoot, command.module)).href);
  return main([...command.leading, ...args]);
}
