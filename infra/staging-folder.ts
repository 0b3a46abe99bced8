import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

let parent: string | undefined;

/** A new folder for what goes into an asset; the CDK copies it, and it is gone when the process ends. */
export function stagingFolder(): string {
  if (parent === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'baton-synth-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    parent = made;
  }
  return mkdtempSync(join(parent, 'part-'));
}
