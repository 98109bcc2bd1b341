import { type CommonOptions, type RunOptions, run } from '../../lib/index.ts';

/** What a shell script says inside a container that is this machine's /usr. */
export async function inside(script: string, options: Partial<CommonOptions> & RunOptions = {}): Promise<string> {
  const { stdout } = await run({ host: true, command: ['sh', '-c', script], ...options });
  return stdout;
}

/** The lines of a text, without the last empty one. */
export const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** The fields of /proc/PID/status and the like, by name. */
export function fields(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    lines(text).map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()];
    }),
  );
}
