import { RuntsError } from '../../errors.ts';
import { errnoOf } from '../../host/failure.ts';
import { parseJson } from '../../spec/json.ts';
import type { Resources } from '../../spec/types.ts';
import type { Command, Context } from '../command.ts';
import { type Parsed, textOf } from '../parse.ts';
import { absolute } from '../paths.ts';
import { checkedResources, resourceFlags, resourcesFromFlags } from '../resources.ts';
import { onlyId } from './common.ts';

/** `runts update`. */
export const update: Command = {
  synopsis: ['[OPTIONS] ID'],
  text: `Changes limits of a container; what is not named stays as it is. With --resources they are \`linux.resources\` of a
configuration as JSON, such as {"memory": {"limit": 268435456}}, and other options about them are ignored.`,
  flags: {
    resources: { names: ['--resources', '-r'], value: 'FILE', doc: 'read them from a file, or from standard input: -' },
    ...resourceFlags,
    l3CacheSchema: { names: ['--l3-cache-schema'], value: 'SCHEMA', doc: 'share of the L3 cache (Intel RDT)' },
    memBwSchema: { names: ['--mem-bw-schema'], value: 'SCHEMA', doc: 'share of the memory bandwidth (Intel RDT)' },
  },
  grammar: { anywhere: true, lenient: true },
  words: 'containers',
  async main(parsed, context) {
    const id = onlyId('update', parsed);
    const { world, root, log } = context;
    const resources = await wanted(parsed, context);
    const { updateContainer } = await import('../../host/oci/update.ts');
    await updateContainer(world.host, root, id, {
      resources,
      l3CacheSchema: textOf(parsed, 'l3CacheSchema') || undefined,
      memBwSchema: textOf(parsed, 'memBwSchema') || undefined,
      warn: (message) => log.warn(message),
    });
    return 0;
  },
};

async function wanted(parsed: Parsed, { world }: Context): Promise<Resources> {
  const from = textOf(parsed, 'resources');
  if (from === undefined || from === '') return resourcesFromFlags(parsed);
  const path = from === '-' ? 'standard input' : absolute(world.host.environment, from);
  const text =
    from === '-'
      ? await world.input()
      : await world.host.files.read(path, 'strict').catch((error) => unreadable(path, error));
  return checkedResources(parseJson(text, path), `${path} has no valid resources`);
}

function unreadable(path: string, error: unknown): never {
  if (RuntsError.is(error)) throw error;
  throw new RuntsError('ERR_SPEC', `cannot read ${path}: ${errnoOf(error) ?? error}`, { cause: error });
}
