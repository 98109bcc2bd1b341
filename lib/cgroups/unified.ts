import { pointer } from '../spec/pointer.ts';
import { type Limit, refuseLimit, resources } from './limit.ts';

/**
 * Control files of the unified hierarchy, as they are. Not those that begin with `cgroup.`: they are about which
 * processes belong to the group and who may change it, which is ours to say.
 */
export function unifiedLimits(unified: Readonly<Record<string, string>>): Limit[] {
  return Object.keys(unified).map((file) => {
    if (!/^[a-z][a-z0-9_]*(\.[A-Za-z0-9_]+)+$/.test(file) || file.startsWith('cgroup.')) {
      refuseLimit('unified', `${JSON.stringify(file)} is no control file of a limit`);
    }
    const controller = file.slice(0, file.indexOf('.'));
    return { controller, file, value: unified[file]!, origin: pointer(`${resources}/unified`, file) };
  });
}
