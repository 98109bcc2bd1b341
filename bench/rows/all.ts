import type { Row } from '../row.ts';
import { alive } from './alive.ts';
import { manyAtOnce } from './at-once.ts';
import { commandLineMemory, commandLines } from './command-line.ts';
import { create } from './create.ts';
import { exec, execOther } from './exec.ts';
import { load, sizes } from './files.ts';
import { image } from './image.ts';
import { memory } from './memory.ts';
import { seccomp } from './seccomp.ts';
import { surroundings } from './surroundings.ts';
import { blocked, busy } from './thread.ts';
import { warm } from './warm.ts';

/** Everything that is measured, in order. To add a row is to add it here. */
export const rows: readonly Row[] = [
  create,
  commandLines,
  commandLineMemory,
  exec,
  execOther,
  warm,
  manyAtOnce,
  busy,
  blocked,
  seccomp,
  surroundings,
  ...alive,
  image,
  memory,
  load,
  sizes,
];
