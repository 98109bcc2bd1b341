import { addInput, type Draft } from './draft.ts';

const origin = 'option: detached';

/** What a process 1 that is to outlive us gets of the host: pipes and files, and no directory. */
export function addOutliving(
  draft: Draft,
  { segments: count, bytesMax }: { readonly segments: number; readonly bytesMax: number },
): void {
  const part = (stem: string, which: 'stdout' | 'stderr' | 'exit' | number) =>
    addInput(draft, stem, { kind: 'outlive', part: which, origin });
  const stdout = part('written', 'stdout');
  const stderr = part('written', 'stderr');
  const exit = part('exit', 'exit');
  const segments = Array.from({ length: count }, (_, i) => part('segment', i));
  draft.ops.op('outlive', { stdout, stderr, exit, segments, bytes_max: bytesMax }, origin);
}
