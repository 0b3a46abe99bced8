import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { startEmbeddedCloud } from '../local/cloud/embedded-cloud.ts';
import { checkJava, fetchDynamoDBLocal } from '../local/cloud/dynamodb-local-package.ts';
import { messageOf } from '../shared/errors.ts';
import { runTests } from './test-runner.ts';
import type { Totals } from './totals.ts';

const root = resolve(import.meta.dirname, '..');

/** What depends on how the table behaves in detail; the embedded emulator is more forgiving. */
const contractTests = ['--project', 'integration', 'test/shared/coordination'];
/** Short, and always the same: a kill, a drain, outages of AWS. */
const chaosRun = '--minutes 0.75 --workers 3 --shards 8 --rate 300 --seed 3 --dynamodb-local --json'.split(' ');

/**
 * `npm run test:dynamodb-local`: the tests of the coordination store and a short chaos run on the vendor's DynamoDB
 * Local. Without Java it says so and is content. Resolves to the exit code.
 */
export async function main(): Promise<number> {
  const { passed, failed, skipped } = await testOnDynamoDBLocal();
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  return failed === 0 ? 0 : 1;
}

/** Runs them, or skips them aloud where Java or the program itself cannot be had. */
export async function testOnDynamoDBLocal(): Promise<Totals> {
  try {
    await checkJava();
    await fetchDynamoDBLocal();
  } catch (error) {
    console.log(`\n!!! SKIPPED: nothing is tested on DynamoDB Local. ${messageOf(error).trim()}\n`);
    return { passed: 0, failed: 0, skipped: 1 };
  }
  const totals = await testContract();
  const isChaosGood = await runChaos();
  console.log(`${isChaosGood ? '✓' : '✗'} chaos on DynamoDB Local`);
  return { ...totals, passed: totals.passed + Number(isChaosGood), failed: totals.failed + Number(!isChaosGood) };
}

async function testContract(): Promise<Totals> {
  const cloud = await startEmbeddedCloud({ dynamodb: 'local' });
  process.env['BATON_TEST_DYNAMODB_ENDPOINT'] = cloud.environment['AWS_ENDPOINT_URL_DYNAMODB'] as string;
  try {
    console.log('\nOn DynamoDB Local:');
    return await Promise.race([runTests(contractTests), cloud.failed]);
  } finally {
    delete process.env['BATON_TEST_DYNAMODB_ENDPOINT'];
    await cloud.stop();
  }
}

/** What it says goes to the log, its report only when it fails. */
function runChaos(): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.mjs'), 'chaos', ...chaosRun], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const report: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => report.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0) console.log(Buffer.concat(report).toString());
      resolve(code === 0);
    });
  });
}
