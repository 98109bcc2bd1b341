/** What one image may cost at most when it is unpacked: all its layers together, unless it says otherwise. */
export interface UnpackLimits {
  /** Bytes of the uncompressed tar streams, which bounds what is written, and the time a small gzip bomb can take. */
  readonly bytes: number;
  /** Entries of any type. */
  readonly entries: number;
  /** Bytes of all entry names together: they are what the unpacker may have to remember. */
  readonly nameBytes: number;
}

const gibibyte = 1024 ** 3;

export const unpackLimits: UnpackLimits = {
  bytes: 64 * gibibyte,
  entries: 4_000_000,
  nameBytes: gibibyte / 4,
};

/**
 * What compressed data may become: so many bytes, or so many times what it was. Zeros are compressed a thousandfold, and with
 * zstd far more; what people put into images is not, so that a small file cannot fill a disk.
 */
export interface SwellLimits {
  readonly bytes: number;
  readonly ratio: number;
}

export const swellLimits: SwellLimits = { bytes: gibibyte, ratio: 200 };

/** Linux's PATH_MAX and NAME_MAX, without the terminating NUL. */
export const pathBytesMax = 4095;
export const componentBytesMax = 255;

/** Directories inside one another. Linux has no such limit; a removal holds a descriptor for each. */
export const depthMax = 512;

/** What one directory may have in it, in entries and in bytes of names, targets and attributes, to be listed: it is held whole. */
export const listMax = { entries: 1_000_000, bytes: gibibyte / 8 } as const;

/** Directories and symbolic links of a layer, those among them that are only part of a name: a short name can have many. */
export const pathsMax = 4_000_000;

/**
 * How often a page of what is remembered of them is read back: some minutes. A million directories in any order want a tenth of it;
 * names may be chosen so that each takes a thousand.
 */
export const pageReadsMax = 100_000_000;

/** Symbolic links followed for one path, as in the kernel. */
export const symlinksMax = 40;

/** Device nodes of a layer that cannot be made and are recorded: a whole /dev has some hundred. */
export const devicesMax = 65_536;

/** What was left out of a layer, and is told by name: of an archive with attributes that are not kept it is each file. */
export const skippedMax = 1000;

/**
 * What is recorded of a layer's directories and devices, which is held whole: names and attributes of those that have attributes,
 * of those that hide what lower layers have, and of devices that cannot be made. Each counts for so many bytes more, which is
 * about what it takes to hold. Images have a few dozen.
 */
export const recordedBytesMax = 16 * 1024 * 1024;
export const recordedEachBytes = 192;

/** One extended header (pax, or a GNU long name). */
export const extendedHeaderBytesMax = 1024 * 1024;
