import type { CgroupWrite } from '../../plan/plan.ts';
import { errnoOf } from '../failure.ts';
import type { Host } from '../host.ts';
import { attempted } from './files.ts';

/** Writes limits in their order. Those that got through are told one by one. */
export async function writeLimits(
  host: Host,
  path: string,
  writes: readonly CgroupWrite[],
  written: (write: CgroupWrite) => void = () => {},
): Promise<void> {
  for (let i = 0; i < writes.length; i++) {
    const write = writes[i]!;
    const next = writes[i + 1];
    try {
      await writeLimit(host, path, write);
    } catch (error) {
      if (!write.afterNext || next === undefined || errnoOf(causeOf(error)) !== 'EINVAL') throw error;
      await writeLimit(host, path, next);
      written(next);
      await writeLimit(host, path, write);
      i++;
    }
    written(write);
  }
}

const causeOf = (error: unknown): unknown => (error as { readonly cause?: unknown } | undefined)?.cause;

async function writeLimit(host: Host, path: string, write: CgroupWrite): Promise<void> {
  const { file, value, origin, optional } = write;
  const errors: unknown[] = [];
  for (const way of [{ file, value }, ...(write.or ?? [])]) {
    try {
      await host.cgroups.write(`${path}/${way.file}`, way.value);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length <= (write.or ?? []).length) return;
  const telling = errors.find((error) => errnoOf(error) !== 'ENOENT');
  if (telling === undefined && optional) return;
  const doing = `write ${JSON.stringify(value.trim())} to ${file} of the cgroup`;
  await attempted(Promise.reject(telling ?? errors[0]), doing, origin);
}
