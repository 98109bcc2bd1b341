import { damaged, Refused } from '../refused.ts';

/**
 * The largest window of a frame: so much of what was written has to be kept. RFC 8878 (3.1.1.1.2) wants 8 MiB of a decoder;
 * what compresses at the highest levels asks for up to 32.
 */
export const windowLogMax = 25;
const windowBytesMax = 2 ** windowLogMax;

export interface FrameHeader {
  readonly windowBytes: number;
  /** Undefined where the frame does not say. */
  readonly contentBytes: number | undefined;
  readonly checksumBytes: number;
}

/** How many bytes a header has, by its first one. */
export function headerBytes(descriptor: number): number {
  const { windowBytes, dictionaryBytes, sizeBytes } = fields(descriptor);
  return 1 + windowBytes + dictionaryBytes + sizeBytes;
}

/** The header of a frame (RFC 8878, 3.1.1.1), looked at for what the frame would cost. */
export function readHeader(header: Buffer): FrameHeader {
  const descriptor = header[0]!;
  if ((descriptor & 8) !== 0) throw damaged('the header of a frame has a reserved bit');
  const { windowBytes, dictionaryBytes, sizeBytes } = fields(descriptor);
  const dictionary = header.subarray(1 + windowBytes, 1 + windowBytes + dictionaryBytes);
  if (dictionary.some((byte) => byte !== 0)) throw new Refused('its frames want a dictionary, which an image has not');
  const content = contentSize(
    header.subarray(1 + windowBytes + dictionaryBytes, 1 + windowBytes + dictionaryBytes + sizeBytes),
  );
  const window = windowBytes === 1 ? windowSize(header[1]!) : content!;
  if (window > windowBytesMax) {
    const hint = 'Compress it at a lower level, without --long.';
    throw new Refused(`it wants ${window} bytes kept to be decompressed; ${windowBytesMax} are allowed`, { hint });
  }
  return { windowBytes: window, contentBytes: content, checksumBytes: (descriptor & 4) !== 0 ? 4 : 0 };
}

/** How long the fields after the first byte are. A frame that is kept whole has a content size, and no window. */
function fields(descriptor: number): { windowBytes: number; dictionaryBytes: number; sizeBytes: number } {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  return {
    windowBytes: isSingleSegment ? 0 : 1,
    dictionaryBytes: [0, 1, 2, 4][descriptor & 3]!,
    sizeBytes: [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!,
  };
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function contentSize(field: Buffer): number | undefined {
  if (field.length === 0) return undefined;
  if (field.length === 8) return Number(field.readBigUInt64LE());
  return field.readUIntLE(0, field.length) + (field.length === 2 ? 256 : 0);
}
