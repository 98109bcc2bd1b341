import { RuntsError } from '../../errors.ts';
import { errnoOf } from '../../host/failure.ts';
import { exampleSpec } from '../../spec/example.ts';
import { stringifyJson } from '../../spec/json.ts';
import type { Command } from '../command.ts';
import { isOn, textOf } from '../parse.ts';
import { absolute } from '../paths.ts';
import { noWords } from './common.ts';

/** `runts spec`. */
export const spec: Command = {
  synopsis: ['[OPTIONS]'],
  text: `Writes a config.json to begin with: a shell in a terminal, in rootfs/ of the bundle. A file that exists is not
overwritten.`,
  flags: {
    bundle: { names: ['--bundle', '-b'], value: 'DIR', doc: 'write it there; the current directory unless given' },
    config: {
      names: ['--config', '--file', '-f'],
      value: 'FILE',
      doc: 'the name of the file; config.json unless given',
    },
    rootless: { names: ['--rootless'], doc: 'with a user namespace in which you are root' },
  },
  grammar: { anywhere: true, lenient: true },
  async main(parsed, { world }) {
    noWords('spec', parsed);
    const { environment, files } = world.host;
    const bundle = absolute(environment, textOf(parsed, 'bundle') || '.');
    const path = absolute({ cwd: bundle }, textOf(parsed, 'config') || 'config.json');
    try {
      if ((await files.kind(path)) !== undefined) {
        throw new RuntsError('ERR_EXISTS', `File ${path} exists. Remove it first`);
      }
      const unified = (await files.kind('/sys/fs/cgroup/cgroup.controllers')) !== undefined;
      const { uid, gid } = environment;
      const document = exampleSpec({
        hostname: world.name,
        cgroupNamespace: unified,
        ...(isOn(parsed, 'rootless') && { rootless: { uid, gid } }),
      });
      await files.replace(path, `${stringifyJson(document, 4)}\n`);
    } catch (error) {
      if (RuntsError.is(error)) throw error;
      throw new RuntsError('ERR_SETUP', `cannot write ${path}: ${errnoOf(error) ?? error}`, { cause: error });
    }
    return 0;
  },
};
