import { writeFileSync } from 'node:fs';

/**
 * Writes what commands need to find a local fleet, as lines for a shell to read (`. file`). The bot's token and keys
 * stay out: commands that operate a fleet need none.
 */
export function writeEnvironmentFile(file: string, environment: Readonly<Record<string, string>>): void {
  writeFileSync(file, environmentLines(environment).join(''), { mode: 0o600 });
}

/** Lines for a shell, in order of the names. */
export function environmentLines(environment: Readonly<Record<string, string>>): string[] {
  return Object.entries(environment)
    .filter(([name]) => /^(?:AWS|BATON)_/.test(name))
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`);
}
