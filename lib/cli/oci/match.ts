import { specError } from '../../errors.ts';
import type { Host } from '../../host/host.ts';
import { listContainers } from '../../host/oci/list.ts';

/** The ids that a regular expression is found in: crun's --regex. */
export async function everyMatch(host: Host, root: string, pattern: string): Promise<readonly string[]> {
  const matches = expression(pattern);
  return (await listContainers(host, root)).map(({ id }) => id).filter((id) => matches.test(id));
}

function expression(pattern: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (error) {
    const message = `is no regular expression: ${String((error as Error).message)}`;
    throw specError('invalid options', [{ path: '--regex', message }]);
  }
}
