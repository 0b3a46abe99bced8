/** What Baton reads of every frame; `d` stays bytes. `seq` and `type` are null where Discord leaves them out. */
export interface FrameHeader {
  readonly op: number;
  readonly seq: number | null;
  readonly type: string | null;
}

/** What the fleet wants to know of GUILD_CREATE and GUILD_DELETE; `undefined` where the key is absent or of another type. */
export interface GuildFields {
  readonly id: string | undefined;
  readonly guildId: string | undefined;
  readonly memberCount: number | undefined;
  readonly unavailable: boolean | undefined;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const zero = 0x30;
const nine = 0x39;

/**
 * Finds `op`, `s` and `t` of a gateway frame, whatever the order of its keys; of a dispatch as Discord writes it, `d` is not touched.
 * `undefined`: the bytes are no frame (not an object, no whole-number `op`, `s` or `t` of a wrong type, or cut off).
 * What is inside `d` is not validated, so a dispatch cut off exactly behind two closing braces passes.
 */
export function scanHeader(frame: Buffer): FrameHeader | undefined {
  return scanDispatchInUsualOrder(frame) ?? scanTopLevel(frame);
}

/**
 * Finds `id`, `guild_id`, `member_count` and `unavailable` at the top level of `d`.
 * `undefined`: the frame has no object as `d`.
 */
export function scanGuildFields(frame: Buffer): GuildFields | undefined {
  const cursor = new JsonCursor(frame);
  if (!cursor.enterObject()) return undefined;
  for (let key = cursor.nextKey(); key !== undefined; key = cursor.nextKey()) {
    if (key !== 'd') cursor.skipValue();
    else return cursor.enterObject() ? readGuildFields(cursor) : undefined;
  }
  return undefined;
}

function readGuildFields(cursor: JsonCursor): GuildFields | undefined {
  let id: string | undefined;
  let guildId: string | undefined;
  let memberCount: number | undefined;
  let unavailable: boolean | undefined;
  for (let key = cursor.nextKey(); key !== undefined; key = cursor.nextKey()) {
    switch (key) {
      case 'id':
        id = stringOrNothing(cursor.readScalar());
        break;
      case 'guild_id':
        guildId = stringOrNothing(cursor.readScalar());
        break;
      case 'member_count': {
        const value = cursor.readScalar();
        memberCount = typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
        break;
      }
      case 'unavailable': {
        const value = cursor.readScalar();
        unavailable = typeof value === 'boolean' ? value : undefined;
        break;
      }
      default:
        cursor.skipValue();
    }
  }
  return cursor.failed ? undefined : { id, guildId, memberCount, unavailable };
}

function stringOrNothing(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** The way Discord writes dispatches: `{"t":"TYPE","s":1,"op":0,"d":{…}}`. Anything else is left to the full scan. */
function scanDispatchInUsualOrder(frame: Buffer): FrameHeader | undefined {
  const length = frame.length;
  if (length < 32) return undefined;
  // {"t":"
  if (frame[0] !== openBrace || frame[1] !== quote || frame[2] !== 0x74 || frame[3] !== quote) return undefined;
  if (frame[4] !== colon || frame[5] !== quote) return undefined;
  let at = 6;
  let hash = 0;
  for (let byte = frame[at] as number; byte !== quote; byte = frame[at] as number) {
    // The cap keeps a garbled frame from being walked to its end.
    if (!isTypeByte(byte) || at > 70) return undefined;
    hash = (hash * 31 + byte) | 0;
    at++;
  }
  const typeEnd = at;
  // ","s":
  if (frame[at + 1] !== comma || frame[at + 2] !== quote || frame[at + 3] !== 0x73) return undefined;
  if (frame[at + 4] !== quote || frame[at + 5] !== colon) return undefined;
  at += 6;
  const firstDigitAt = at;
  let seq = 0;
  for (let byte = frame[at] as number; byte >= zero && byte <= nine; byte = frame[at] as number) {
    seq = seq * 10 + byte - zero;
    at++;
  }
  if (at === firstDigitAt || at - firstDigitAt > 15) return undefined;
  // ,"op":0,"d":{ and }} at the end
  if (frame[at] !== comma || frame[at + 1] !== quote || frame[at + 2] !== 0x6f || frame[at + 3] !== 0x70) {
    return undefined;
  }
  if (frame[at + 4] !== quote || frame[at + 5] !== colon || frame[at + 6] !== zero) return undefined;
  if (frame[at + 7] !== comma || frame[at + 8] !== quote || frame[at + 9] !== 0x64) return undefined;
  if (frame[at + 10] !== quote || frame[at + 11] !== colon || frame[at + 12] !== openBrace) return undefined;
  if (frame[length - 1] !== closeBrace || frame[length - 2] !== closeBrace) return undefined;
  return { op: 0, seq, type: knownType(frame, 6, typeEnd, hash) };
}

/** Type names are capitals, digits and underscores. */
function isTypeByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x5f || (byte >= zero && byte <= nine);
}

const typeSlots = 1_024;
const knownTypes: (string | undefined)[] = Array.from({ length: typeSlots });

/** One string object per type name, so that no string is made for each event; a slot taken by another name is overwritten. */
function knownType(frame: Buffer, start: number, end: number, hash: number): string {
  const slot = hash & (typeSlots - 1);
  const known = knownTypes[slot];
  if (known !== undefined && known.length === end - start) {
    let index = 0;
    while (index < known.length && known.charCodeAt(index) === frame[start + index]) index++;
    if (index === known.length) return known;
  }
  const type = frame.toString('latin1', start, end);
  knownTypes[slot] = type;
  return type;
}

function scanTopLevel(frame: Buffer): FrameHeader | undefined {
  const cursor = new JsonCursor(frame);
  if (!cursor.enterObject()) return undefined;
  let op: unknown;
  let seq: unknown = null;
  let type: unknown = null;
  for (let key = cursor.nextKey(); key !== undefined; key = cursor.nextKey()) {
    switch (key) {
      case 'op':
        op = cursor.readScalar();
        break;
      case 's':
        seq = cursor.readScalar();
        break;
      case 't':
        type = cursor.readScalar();
        break;
      default:
        cursor.skipValue();
    }
  }
  if (!cursor.isAtEnd() || !isWholeNumber(op)) return undefined;
  if (seq !== null && !isWholeNumber(seq)) return undefined;
  if (type !== null && typeof type !== 'string') return undefined;
  return { op, seq, type };
}

function isWholeNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Marks a value that is an object or an array, which the scan does not read. */
const notScalar = Symbol('not a scalar');

/** Walks over JSON bytes. Once something does not fit, `failed` is set and nothing more is read. */
class JsonCursor {
  failed = false;
  readonly #bytes: Buffer;
  #at = 0;
  #first = true;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Whether everything fitted and nothing but white space is left. */
  isAtEnd(): boolean {
    this.#skipSpace();
    return !this.failed && this.#at === this.#bytes.length;
  }

  enterObject(): boolean {
    this.#skipSpace();
    if (this.failed || this.#bytes[this.#at] !== openBrace) return this.#fail();
    this.#at++;
    this.#first = true;
    return true;
  }

  /** The next key of the object entered last, standing before its value; `undefined` at the object's end or on failure. */
  nextKey(): string | undefined {
    if (this.failed) return undefined;
    this.#skipSpace();
    if (this.#bytes[this.#at] === closeBrace) {
      this.#at++;
      return undefined;
    }
    if (!this.#first) {
      if (this.#bytes[this.#at] !== comma) return this.#failure();
      this.#at++;
      this.#skipSpace();
    }
    this.#first = false;
    if (this.#bytes[this.#at] !== quote) return this.#failure();
    const key = this.#readString();
    if (key === undefined) return undefined;
    this.#skipSpace();
    if (this.#bytes[this.#at] !== colon) return this.#failure();
    this.#at++;
    return key;
  }

  /** A string, number, boolean or null; `notScalar` for anything else, which is then skipped. */
  readScalar(): unknown {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === quote) return this.#readString();
    const start = this.#at;
    this.skipValue();
    if (byte === openBrace || byte === openBracket) return notScalar;
    return this.failed ? undefined : this.#parse(start, this.#at);
  }

  skipValue(): void {
    this.#skipSpace();
    const bytes = this.#bytes;
    const first = bytes[this.#at];
    if (first === quote) this.#skipString();
    else if (first === openBrace || first === openBracket) this.#skipNested();
    else {
      const start = this.#at;
      while (this.#at < bytes.length && !endsScalar(bytes[this.#at] as number)) this.#at++;
      if (this.#at === start) this.#fail();
    }
  }

  #skipNested(): void {
    const bytes = this.#bytes;
    let depth = 0;
    while (this.#at < bytes.length) {
      const byte = bytes[this.#at];
      if (byte === quote) {
        this.#skipString();
        continue;
      }
      if (byte === openBrace || byte === openBracket) depth++;
      else if (byte === closeBrace || byte === closeBracket) depth--;
      this.#at++;
      if (depth === 0) return;
    }
    this.#fail();
  }

  /** Moves from an opening quote past the closing one; tells whether there were escapes. */
  #skipString(): boolean {
    const bytes = this.#bytes;
    let escapes = false;
    let at = this.#at + 1;
    for (; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === quote) {
        this.#at = at + 1;
        return escapes;
      }
      if (byte === backslash) {
        escapes = true;
        at++;
      }
    }
    this.#at = bytes.length;
    this.#fail();
    return escapes;
  }

  #readString(): string | undefined {
    const start = this.#at;
    const escapes = this.#skipString();
    if (this.failed) return undefined;
    if (!escapes) return this.#bytes.toString('utf8', start + 1, this.#at - 1);
    return this.#parse(start, this.#at) as string | undefined;
  }

  /** The rare forms (escapes, numbers, literals) are left to the JSON parser: these slices are short. */
  #parse(start: number, end: number): unknown {
    try {
      return JSON.parse(this.#bytes.toString('utf8', start, end));
    } catch {
      return this.#failure();
    }
  }

  #skipSpace(): void {
    while (this.#at < this.#bytes.length && isSpace(this.#bytes[this.#at] as number)) this.#at++;
  }

  #fail(): false {
    this.failed = true;
    return false;
  }

  #failure(): undefined {
    this.failed = true;
    return undefined;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function endsScalar(byte: number): boolean {
  return byte === comma || byte === closeBrace || byte === closeBracket || isSpace(byte);
}
