import { readdirSync, readFileSync } from 'node:fs';
import type { Row } from '../row.ts';

const kibPerPage = 4;
const many = 20;

/** The resident memory of the processes of ours that a container keeps. */
export const memory: Row = {
  key: 'memory',
  title: 'resident memory of our processes, per idle container',
  unit: 'KiB',
  rounds: () => 1,
  subjects: ({ runtime, bundle }) => [
    {
      name: 'runts',
      once: async () => {
        const before = residentKiB();
        const options = {
          rootfs: bundle.rootfs,
          command: ['/bin/sleep', '1000'],
          stdout: 'ignore',
          stderr: 'ignore',
        } as const;
        const made = await Promise.all(Array.from({ length: many }, () => runtime.createContainer(options)));
        await Promise.all(made.map((container) => container.start()));
        const grown = residentKiB() - before;
        await Promise.all(made.map((container) => container.remove({ force: true })));
        return grown / many;
      },
    },
  ],
};

/** Of all processes below this one that are inits of ours. */
function residentKiB(): number {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => [pid, parentOf(pid)]),
  );
  const ours = (pid: string | undefined): boolean =>
    pid !== undefined && (pid === `${process.pid}` || ours(parents.get(pid)));
  const inits = [...parents.keys()].filter((pid) => ours(pid) && nameOf(pid) === 'runts-init');
  return inits.reduce((sum, pid) => sum + kibPerPage * Number(read(`/proc/${pid}/statm`).split(' ')[1] ?? 0), 0);
}

const nameOf = (pid: string) => read(`/proc/${pid}/comm`).trim();
const parentOf = (pid: string) => /^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1];

/** Empty where the process has gone meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
