import { randomBytes } from 'node:crypto';
import { zstdDecompressSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { compressZstdFrame } from '../../shared/zstd-frame.ts';

const text = (bytes: number): Buffer =>
  Buffer.alloc(bytes, '{"t":"MESSAGE_CREATE","s":1,"op":0,"d":{"content":"hello"}}');
const inputs = [
  Buffer.alloc(0),
  text(1),
  text(700),
  text(200_000),
  randomBytes(3_000_000),
  text(40),
  randomBytes(65_536),
];

test('every frame stands for itself, whatever was compressed before it', () => {
  const frames = [...inputs, ...inputs].map(compressZstdFrame);
  // Read only now, and backwards: no frame leans on another, none was written over.
  for (const [index, frame] of [...frames.entries()].toReversed()) {
    expect(zstdDecompressSync(frame).equals(inputs[index % inputs.length] as Buffer), `frame ${index}`).toBe(true);
  }
});

test('the same input gives the same bytes, so that a repeated send carries what the first one did', () => {
  const first = compressZstdFrame(text(5000));
  compressZstdFrame(randomBytes(100_000));
  expect(compressZstdFrame(text(5000)).equals(first)).toBe(true);
});
