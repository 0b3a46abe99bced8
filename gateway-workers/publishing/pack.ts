import {
  bestEnvelopeEncoding,
  type EnvelopeEncoding,
  encodeFrames,
  maxEnvelopeBytes,
  maxMessageBytes,
} from '../../shared/envelope.ts';

/** A dispatch frame that waits to be sent, exactly as Discord sent it. */
export interface KeptFrame {
  readonly seq: number;
  readonly type: string;
  readonly bytes: Buffer;
  /** Came between a RESUME and its RESUMED. */
  readonly replayed: boolean;
}

/** Frames in the form that an envelope carries them. */
export interface PackedFrames {
  readonly frames: readonly KeptFrame[];
  readonly payload: Buffer;
  readonly encoding: EnvelopeEncoding;
  readonly types: Readonly<Record<string, number>>;
  readonly replayed: boolean;
  /** Of the frames themselves. */
  readonly plainBytes: number;
}

/** Room kept for the JSON header, names and types of the message. */
const headerBytes = 8 * 1024;
/** Frames are gathered up to this size before compression: it bounds the time one compression blocks the loop. */
const maxPlainBytes = 512 * 1024;

/**
 * Takes as many frames from the front of `frames` as one envelope holds: at most 256 KiB as a message, or one frame
 * alone up to the 1 MiB of SQS. `oversized` is the first frame when not even that is enough.
 */
export function packFront(
  frames: readonly KeptFrame[],
  encoding: EnvelopeEncoding,
  maxCount = Number.POSITIVE_INFINITY,
): { packed: PackedFrames } | { oversized: KeptFrame } {
  let count = 0;
  let plainBytes = 0;
  while (count < frames.length && count < maxCount) {
    plainBytes += (frames[count] as KeptFrame).bytes.length + 1;
    if (count > 0 && plainBytes > maxPlainBytes) break;
    count += 1;
  }
  for (;;) {
    const packed = pack(frames.slice(0, count), encoding);
    const limit = count === 1 ? maxMessageBytes : maxEnvelopeBytes;
    if (packed.payload.length + headerBytes <= limit) return { packed };
    if (count > 1) count = Math.floor(count / 2);
    else if (encoding === bestEnvelopeEncoding) return { oversized: frames[0] as KeptFrame };
    else return packFront(frames, bestEnvelopeEncoding, 1);
  }
}

/** Packs exactly `frames`, whatever their number; compressed with the best encoding when they would not fit otherwise. */
export function packAll(frames: readonly KeptFrame[], encoding: EnvelopeEncoding): PackedFrames {
  const packed = pack(frames, encoding);
  return packed.payload.length + headerBytes <= maxMessageBytes ? packed : pack(frames, bestEnvelopeEncoding);
}

function pack(frames: readonly KeptFrame[], encoding: EnvelopeEncoding): PackedFrames {
  const types: Record<string, number> = {};
  let replayed = false;
  let plainBytes = 0;
  for (const frame of frames) {
    plainBytes += frame.bytes.length;
    types[frame.type] = (types[frame.type] ?? 0) + 1;
    if (frame.replayed) replayed = true;
  }
  const payload = encodeFrames(
    frames.map((frame) => frame.bytes),
    encoding,
  );
  return { frames, payload, encoding, types, replayed, plainBytes };
}
