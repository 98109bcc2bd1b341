/** A manifest, index or configuration; registries allow 4 MiB too. */
export const documentBytesMax = 4 * 1024 * 1024;

/** overlayfs and Docker stop at 128. */
export const layersMax = 128;

/** Steps of how an image was made; most are no layer. */
export const historyMax = 10_000;

/** Entries of an index, images of an archive. */
export const manifestsMax = 1000;

/** An index may lead to an index (an archive of a multi-platform image does), not on for ever. */
export const indexDepthMax = 4;

/** Files in an archive, and bytes of their names; an image has a few dozen. */
export const archiveEntriesMax = 100_000;
export const archiveNameBytesMax = 16 * 1024 * 1024;

/** An archive that is compressed as a whole, decompressed. */
export const archiveBytesMax = 64 * 1024 ** 3;

/** One layer as a registry has it, compressed. */
export const layerBytesMax = 64 * 1024 ** 3;
