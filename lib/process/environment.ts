import { RuntsError } from '../errors.ts';
import { defaultPath } from '../spec/defaults.ts';

/**
 * The paths at which a command may be: itself when it has a slash, otherwise one below each directory of PATH. Of
 * those, only absolute ones: the working directory is no place to find programs by accident.
 */
export function commandFiles(args: readonly string[], env: readonly string[]): readonly string[] {
  const name = args[0] ?? '';
  if (name.includes('/')) return [name];
  const directories = pathOf(env).split(':');
  const files = directories.filter((d) => d.startsWith('/')).map((d) => `${d.replace(/\/+$/, '')}/${name}`);
  if (name !== '' && files.length > 0) return [...new Set(files)];
  throw new RuntsError(
    'ERR_EXEC',
    `cannot find the command "${name}": the container's PATH has no absolute directory`,
    {
      origin: '/process/args/0',
      hint: 'Set PATH in the environment, or give the command as a path.',
      exit: 127,
    },
  );
}

function pathOf(env: readonly string[]): string {
  const prefix = 'PATH=';
  const entry = [...env].reverse().find((variable) => variable.startsWith(prefix));
  return entry === undefined ? defaultPath : entry.slice(prefix.length);
}

/** The environment with each name once: the last value that is given to it counts, as shells have it. */
export function environment(env: readonly string[]): readonly string[] {
  const nameOf = (entry: string) => entry.split('=', 1)[0]!;
  return [...new Map(env.map((entry) => [nameOf(entry), entry])).values()];
}
