/** Frames share slabs of this size: one allocation for about eighty of them. */
const slabBytes = 64 * 1024;

/** Memory for frames that wait to be sent. A slab is freed when the last frame in it is gone, which takes a flush or two. */
class FrameMemory {
  #slab = Buffer.allocUnsafeSlow(slabBytes);
  #at = 0;

  /** A copy of `frame` that nobody writes over. */
  keep(frame: Buffer): Buffer {
    const { length } = frame;
    // One that is large beside a slab would waste the rest of one, or keep it from being freed.
    if (length > slabBytes / 8) return this.keepAlone(frame);
    if (this.#at + length > slabBytes) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes);
      this.#at = 0;
    }
    const kept = this.#slab.subarray(this.#at, this.#at + length);
    kept.set(frame);
    this.#at += length;
    return kept;
  }

  /** A copy in memory of its own, for one that may wait long: it would keep a slab of others' frames from being freed. */
  keepAlone(frame: Buffer): Buffer {
    const kept = Buffer.allocUnsafeSlow(frame.length);
    kept.set(frame);
    return kept;
  }
}

/** One for all shards: they are flushed together. */
export const frameMemory = new FrameMemory();
