import type { Builder } from '../program/builder.ts';
import { encodeUtf8 } from '../program/utf8.ts';

/** Sets how soon the kernel kills the container when memory runs out: through a procfs of our own (CVE-2025-52881). */
export function setOomScore(ops: Builder, proc: () => string, score: number | undefined): void {
  if (score === undefined) return;
  ops.op(
    'write',
    { root: proc(), path: 'self/oom_score_adj', content: encodeUtf8(`${score}`) },
    '/process/oomScoreAdj',
  );
}
