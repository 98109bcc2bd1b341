import type { Command } from '../command.ts';
import { type Flags, isOn, textOf } from '../parse.ts';
import { exactly, grammar, jsonFlag, printJson, showOf } from './common.ts';

const quiet = { names: ['--quiet', '-q'], doc: 'no progress' } as const;

const pullFlags: Flags = {
  platform: {
    names: ['--platform'],
    value: 'PLATFORM',
    doc: 'the image for this platform: linux/arm64; default this machine',
  },
  allPlatforms: { names: ['--all-platforms'], doc: 'the images for all platforms' },
  quiet,
  json: { ...jsonFlag, doc: 'progress and result as lines of JSON' },
};

/** `runts pull`. */
export const pull: Command = {
  synopsis: ['[OPTIONS] NAME[:TAG|@DIGEST]'],
  text: `Brings an image from its registry. What is here already is not sent again; a pull that was broken off goes on where it
was. Credentials are those of login, and of Docker's config.json.`,
  flags: pullFlags,
  grammar,
  async main(parsed, context) {
    const [name] = exactly('pull', parsed, 1) as [string];
    const { print } = context.world;
    const options = { platform: textOf(parsed, 'platform'), allPlatforms: isOn(parsed, 'allPlatforms') };
    const verbs = await context.world.imageVerbs();
    const pulled = await verbs.pull(name, { ...options, show: showOf(parsed, context) });
    if (isOn(parsed, 'json')) print(printJson(pulled));
    else if (isOn(parsed, 'quiet')) print(`${pulled.reference}\n`);
    else {
      const status = pulled.isUpToDate ? 'Image is up to date for' : 'Downloaded newer image for';
      print(`Digest: ${pulled.digest}\nStatus: ${status} ${pulled.familiar}\n${pulled.reference}\n`);
    }
    return 0;
  },
};

/** `runts push`. */
export const push: Command = {
  synopsis: ['[OPTIONS] NAME[:TAG]'],
  text: 'Sends an image to the registry of its name. What the registry has already is not sent again.',
  flags: {
    allTags: { names: ['--all-tags', '-a'], doc: 'every tag of the repository' },
    quiet,
    json: { ...jsonFlag, doc: 'progress and result as lines of JSON' },
  },
  grammar,
  async main(parsed, context) {
    const [name] = exactly('push', parsed, 1) as [string];
    const verbs = await context.world.imageVerbs();
    const names = isOn(parsed, 'allTags') ? await verbs.tagsOf(name) : [name];
    for (const each of names) {
      const pushed = await verbs.push(each, showOf(parsed, context));
      const { print } = context.world;
      if (isOn(parsed, 'json')) print(printJson(pushed));
      else if (isOn(parsed, 'quiet')) print(`${pushed.reference}\n`);
      else print(`${pushed.reference}: digest: ${pushed.digest} size: ${pushed.size}\n`);
    }
    return 0;
  },
};
