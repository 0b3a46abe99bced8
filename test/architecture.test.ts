import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** Folder to the folders it may import. `infra` reaches programs by path, never by import. */
export const allowedImports: Readonly<Record<string, readonly string[]>> = {
  shared: [],
  'gateway-workers': ['shared'],
  functions: ['shared'],
  infra: ['shared'],
  local: ['shared', 'gateway-workers', 'functions'],
  console: ['shared'],
  bench: ['shared', 'gateway-workers', 'functions', 'local'],
};

/** Decisions are pure (design, rule 14): these files may not reach for I/O, clocks or chance. */
const pureFiles =
  /^shared\/coordination\/(?!.*store)|^gateway-workers\/gateway\/(session-machine|frame-scan|close-codes)\.ts$/;
const impure =
  /\b(Date\.now|new Date\(|performance\.now|Math\.random|setTimeout|setInterval|process\.)|from 'node:(?!buffer)|from '@aws-sdk/;

/** Time and chance are parameters everywhere; these files are where they come from, or stand at the very edge. */
const ownsTime = /^shared\/(clock|random)\.ts$/;

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map((match) =>
    relative(root, resolve(root, dirname(file), match[1] as string)),
  );
}

describe.each(Object.keys(allowedImports))('%s', (folder) => {
  const files = sourceFiles(folder);

  test('imports only the folders below it', () => {
    // The package's own version is everybody's to show.
    const allowed = ['package.json', folder, ...(allowedImports[folder] as readonly string[])];
    const wrong = files.flatMap((file) =>
      importsOf(file)
        .filter((target) => !allowed.includes(target.split('/')[0] as string))
        .map((target) => `${file} imports ${target}`),
    );
    expect(wrong).toEqual([]);
  });

  test('has kebab-case file names that say what is inside', () => {
    expect(
      files.filter(
        (file) => !/^[\w-]+(\/_?[a-z0-9-]+)*\/_?[a-z0-9]+(-[a-z0-9]+)*(\.generated|\.test)?\.tsx?$/.test(file),
      ),
    ).toEqual([]);
    expect(files.filter((file) => /\/(utils?|helpers?|lib|common|misc|index)\.ts$/.test(file))).toEqual([]);
  });
});

test('pure decisions touch no clock, chance or I/O', () => {
  const files = Object.keys(allowedImports)
    .flatMap(sourceFiles)
    .filter((file) => pureFiles.test(file));
  expect(files.filter((file) => impure.test(readFileSync(join(root, file), 'utf8')))).toEqual([]);
});

test('workers and shared code take time and chance as parameters', () => {
  const files = ['shared', 'gateway-workers'].flatMap(sourceFiles).filter((file) => !ownsTime.test(file));
  const forbidden = /\b(Date\.now\(|new Date\(\)|performance\.now\(|Math\.random\(|setTimeout\(|setInterval\()/;
  expect(files.filter((file) => forbidden.test(readFileSync(join(root, file), 'utf8')))).toEqual([]);
});

test('zod is imported as a namespace: its object `z` would bring every language of its messages into each bundle', () => {
  const files = ['shared', 'gateway-workers', 'functions'].flatMap(sourceFiles);
  expect(
    files.filter((file) => /import \{[^}]*\bz\b[^}]*\} from 'zod'/.test(readFileSync(join(root, file), 'utf8'))),
  ).toEqual([]);
});
