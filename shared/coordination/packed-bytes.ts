import { BatonError } from '../errors.ts';

/** Builds a compact binary value from bytes and numbers. */
export class ByteWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /**
   * Unsigned LEB128, up to 2^53 − 1: arithmetic instead of shifts, which would cut at 32 bits.
   * @throws {RangeError} for anything but a whole number in that range, which would read back as another one.
   */
  varint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`cannot pack the number ${value}`);
    this.#reserve(8);
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/** Reads what a {@link ByteWriter} wrote; every method throws `BatonError` `STORE_ITEM_INVALID` when the bytes do not hold it. */
export class ByteReader {
  readonly #buffer: Buffer;
  readonly #name: string;
  #offset = 0;

  /** `name` says in messages what the bytes are. */
  constructor(bytes: Uint8Array, name: string) {
    this.#name = name;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#offset >= this.#buffer.length;
  }

  byte(): number {
    const value = this.#buffer[this.#offset++];
    if (value === undefined) throw new BatonError('STORE_ITEM_INVALID', `${this.#name} end too early`);
    return value;
  }

  bytes(length: number): Buffer {
    if (this.#offset + length > this.#buffer.length) {
      throw new BatonError('STORE_ITEM_INVALID', `${this.#name} end too early`);
    }
    const value = this.#buffer.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return value;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const next = this.byte();
      value += (next & 127) * factor;
      if (next < 128 && Number.isSafeInteger(value)) return value;
    }
    throw new BatonError('STORE_ITEM_INVALID', `${this.#name} hold a number that is too large`);
  }
}
