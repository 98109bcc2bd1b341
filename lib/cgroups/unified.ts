import { pointer } from '../spec/pointer.ts';
import { type Limit, refuseLimit, resources } from './limit.ts';

/** Those of the `cgroup.` files that are limits. The others say which processes belong to the group: ours to say. */
const ofEveryCgroup = ['cgroup.max.depth', 'cgroup.max.descendants', 'cgroup.pressure'];

/** Control files of the unified hierarchy, as they are: a write for each line, since the kernel reads one at a time. */
export function unifiedLimits(unified: Readonly<Record<string, string>>): Limit[] {
  return Object.keys(unified).flatMap((file) => {
    const common = ofEveryCgroup.includes(file);
    if (!common && (!/^[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+$/.test(file) || file.startsWith('cgroup.'))) {
      refuseLimit('unified', `the specified key has not the form CONTROLLER.VALUE \`${file}\`, or is no limit`);
    }
    const controller = common ? undefined : file.slice(0, file.indexOf('.'));
    const origin = pointer(`${resources}/unified`, file);
    const lines = unified[file]!.split('\n').filter((line) => line.trim() !== '');
    // An empty value takes a limit back (cpuset.cpus); the kernel needs a byte to hear of it.
    return (lines.length === 0 ? ['\n'] : lines).map((value) => ({ controller, file, value, origin }));
  });
}
