import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { writeEnvironmentFile } from '../../local/environment-file.ts';

test('a shell reads what was written, the token stays out, and others may not read it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'baton-environment-'));
  try {
    const file = join(directory, 'fleet.env');
    const strange = `it's "$HOME" \`x\`\nand more`;
    writeEnvironmentFile(file, {
      BATON_FLEET: strange,
      AWS_ENDPOINT_URL_SQS: 'http://127.0.0.1:1234',
      DISCORD_TOKEN: 'secret',
      DISCORD_API_URL: 'http://127.0.0.1:1',
      PATH: '/nowhere',
    });
    const script = '. "$1"; printf "%s|%s|%s" "$BATON_FLEET" "$AWS_ENDPOINT_URL_SQS" "$DISCORD_TOKEN"';
    const told = execFileSync('sh', ['-c', script, 'read', file], { env: {}, encoding: 'utf8' });
    expect(told).toBe(`${strange}|http://127.0.0.1:1234|`);
    expect(statSync(file).mode & 0o077).toBe(0);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
