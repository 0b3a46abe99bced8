#!/usr/bin/env node
import { main } from './cli.ts';

// What the package has as its command. A clone has scripts/baton.mjs, which first installs what is missing.
process.exitCode = await main(process.argv.slice(2));
// Unreferenced: it strikes only when something was left open, and then the command ends all the same.
setTimeout(() => process.exit(), 3000).unref();
