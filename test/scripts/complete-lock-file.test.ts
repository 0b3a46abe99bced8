import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { completeLockFile, type LockFile } from '../../scripts/complete-lock-file.ts';

describe('completeLockFile', () => {
  test('package-lock.json holds every optional package, or npm ci refuses it: run scripts/complete-lock-file.ts', () => {
    const path = resolve(import.meta.dirname, '../../package-lock.json');
    expect(completeLockFile(JSON.parse(readFileSync(path, 'utf8')) as LockFile)).toEqual([]);
  });

  test('adds what is missing, for its platform alone', () => {
    const lock: LockFile = {
      packages: {
        '': {},
        'node_modules/tool': {
          version: '2.0.0',
          dev: true,
          optionalDependencies: {
            '@tool/linux-x64': '2.0.0',
            '@tool/linux-x64-musl': '2.0.0',
            '@tool/win32-arm64-msvc': '2.0.0',
            '@tool/binding-linux-arm-musleabihf': '2.0.0',
          },
        },
        'node_modules/@tool/linux-x64': { version: '2.0.0', optional: true },
      },
    };
    expect(completeLockFile(lock)).toEqual([
      'node_modules/@tool/linux-x64-musl',
      'node_modules/@tool/win32-arm64-msvc',
      'node_modules/@tool/binding-linux-arm-musleabihf',
    ]);
    const common = { version: '2.0.0', dev: true, optional: true };
    expect(lock.packages).toMatchObject({
      'node_modules/@tool/linux-x64-musl': { ...common, os: ['linux'], cpu: ['x64'], libc: ['musl'] },
      'node_modules/@tool/win32-arm64-msvc': { ...common, os: ['win32'], cpu: ['arm64'] },
      'node_modules/@tool/binding-linux-arm-musleabihf': { ...common, os: ['linux'], cpu: ['arm'], libc: ['musl'] },
    });
    expect(Object.keys(lock.packages)).toEqual(Object.keys(lock.packages).toSorted());
    expect(completeLockFile(lock)).toEqual([]);
  });

  test('finds packages where Node would look for them', () => {
    const optionalDependencies = { 'inner-linux-x64': '1.0.0' };
    const nested: LockFile = {
      packages: {
        'node_modules/a': {},
        'node_modules/a/node_modules/b': { optionalDependencies },
        'node_modules/a/node_modules/inner-linux-x64': {},
      },
    };
    expect(completeLockFile(nested)).toEqual([]);
    const elsewhere: LockFile = {
      packages: { 'node_modules/c': { optionalDependencies }, 'node_modules/a/node_modules/inner-linux-x64': {} },
    };
    expect(completeLockFile(elsewhere)).toEqual(['node_modules/inner-linux-x64']);
  });

  test('an optional package that is none of a platform has to be installed, not guessed', () => {
    const lock: LockFile = { packages: { 'node_modules/a': { optionalDependencies: { bufferutil: '1.0.0' } } } };
    expect(() => completeLockFile(lock)).toThrow('cannot tell the platform of bufferutil');
  });
});
