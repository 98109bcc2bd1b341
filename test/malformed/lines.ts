import type { LineCase } from './line-case.ts';
import { execLines } from './lines-exec.ts';
import { dockerLines, fileLines } from './lines-files.ts';
import { flagLines, idLines } from './lines-ids.ts';

/** Command lines that cannot be done. */
export const lines: readonly LineCase[] = [...idLines, ...flagLines, ...execLines, ...fileLines, ...dockerLines];
