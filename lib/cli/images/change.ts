import { specError } from '../../errors.ts';
import type { Command, Context } from '../command.ts';
import { isOn, type Parsed, textOf, textsOf } from '../parse.ts';
import {
  atLeast,
  changeFlag,
  exactly,
  filterFlag,
  forEach,
  grammar,
  jsonFlag,
  outputFlag,
  outputOf,
  printJson,
  wrongCount,
} from './common.ts';
import { humanSize } from './format.ts';
import type { ProblemRow, RemovedRow } from './port.ts';

/** `runts tag`. */
export const tag: Command = {
  synopsis: ['SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]'],
  text: 'Gives an image another name.',
  flags: {},
  grammar,
  async main(parsed, { world }) {
    const [source, target] = exactly('tag', parsed, 2) as [string, string];
    await (await world.imageVerbs()).tag(source, target);
    return 0;
  },
};

/** `runts rmi`. */
export const remove: Command = {
  synopsis: ['[OPTIONS] IMAGE [IMAGE …]'],
  text: `Takes names from images, and with its last name an image away. What other images or containers need stays. An id takes
all names of one repository.`,
  flags: {
    force: { names: ['--force', '-f'], doc: 'also where a container uses it, and under all of its names' },
    noPrune: { names: ['--no-prune'], doc: 'accepted: there are no parents without a name to keep' },
    json: jsonFlag,
  },
  grammar,
  main: (parsed, context) => {
    const names = atLeast('rmi', parsed, 1);
    const force = isOn(parsed, 'force');
    return forEach(names, context, async (name) => {
      const removed = await (await context.world.imageVerbs()).remove(name, force);
      context.world.print(isOn(parsed, 'json') ? printJson(removed) : removed.map(removedLine).join(''));
    });
  },
};

const removedLine = (row: RemovedRow): string =>
  'untagged' in row ? `Untagged: ${row.untagged}\n` : `Deleted: ${row.deleted}\n`;

/** `runts image prune`. */
export const prune: Command = {
  synopsis: ['[OPTIONS]'],
  text: `Removes images without a name, and what is left of pulls that were given up; with --all every image that no container
uses. Without --force it asks, where there is a terminal to ask at.`,
  flags: {
    all: { names: ['--all', '-a'], doc: 'every image that no container uses' },
    force: { names: ['--force', '-f'], doc: 'do not ask' },
    filter: {
      ...filterFlag('until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]; may be repeated'),
      names: ['--filter'],
    },
    json: jsonFlag,
  },
  grammar,
  async main(parsed, context) {
    const { world } = context;
    if (parsed.rest.length > 0) throw wrongCount('image prune', 'no arguments', parsed.rest.length);
    const all = isOn(parsed, 'all');
    if (!isOn(parsed, 'force') && !(await isSure(all, context))) return 0;
    const { removed, bytes } = await (await world.imageVerbs()).prune(all, textsOf(parsed, 'filter'));
    if (isOn(parsed, 'json')) world.print(printJson({ removed, bytes }));
    else {
      const lines = removed.map((row) =>
        'untagged' in row ? `untagged: ${row.untagged}\n` : `deleted: ${row.deleted}\n`,
      );
      const head = lines.length === 0 ? '' : `Deleted Images:\n${lines.join('')}\n`;
      world.print(`${head}Total reclaimed space: ${humanSize(bytes)}\n`);
    }
    return 0;
  },
};

/** Who runs us from a program has asked already, or says --force. */
async function isSure(all: boolean, { world }: Context): Promise<boolean> {
  if (!world.terminal.input) return true;
  const what = all ? 'all images without at least one container that uses them' : 'all dangling images';
  world.print(`WARNING! This will remove ${what}.\nAre you sure you want to continue? Then say so by --force.\n`);
  return false;
}

/** `runts image verify`. */
export const verify: Command = {
  synopsis: ['[OPTIONS]'],
  text: `Reads all that is stored of all images, and says what is not what its digest says and what is missing. Its exit code is 1
where there is such a thing.`,
  flags: { json: jsonFlag },
  grammar,
  async main(parsed, { world, log }) {
    if (parsed.rest.length > 0) throw wrongCount('image verify', 'no arguments', parsed.rest.length);
    const found = await (await world.imageVerbs()).verify();
    const { blobs, bytes, damaged, missing } = found;
    const isSound = damaged.length + missing.length === 0;
    if (isOn(parsed, 'json')) world.print(printJson(found));
    else {
      const line = (what: string) => (each: ProblemRow) => `${what}: ${each.digest}: ${each.problem}\n`;
      world.print([...damaged.map(line('damaged')), ...missing.map(line('missing'))].join(''));
      if (isSound) world.print(`${blobs} blobs, ${humanSize(bytes)}: all of them are what their digests say\n`);
    }
    if (isSound) return 0;
    const message = `of ${blobs} blobs ${damaged.length} are damaged, and ${missing.length} are missing`;
    log.error(message, `${world.name}: ${message}. Pull or load these images again, or remove them.`);
    return 1;
  },
};

/** `runts load`. */
export const load: Command = {
  synopsis: ['[OPTIONS]'],
  text: `Stores the images of an archive under the names that it has for them: what docker save, podman save and skopeo write,
compressed or not, and OCI layouts.`,
  flags: {
    input: {
      names: ['--input', '-i'],
      value: 'PATH',
      doc: 'the archive or the directory; unless given, standard input',
    },
    quiet: { names: ['--quiet', '-q'], doc: 'accepted: there is no progress' },
    json: jsonFlag,
  },
  grammar,
  async main(parsed, { world }) {
    if (parsed.rest.length > 0) throw wrongCount('load', 'no arguments', parsed.rest.length);
    const path = textOf(parsed, 'input');
    if (path === undefined && world.terminal.input) {
      throw specError('load', [
        { path: '', message: 'requested load from stdin, but stdin is a terminal; use --input' },
      ]);
    }
    const loaded = await (await world.imageVerbs()).load(path);
    if (isOn(parsed, 'json')) world.print(printJson(loaded));
    else {
      const lines = loaded.flatMap(({ id, names }) =>
        names.length === 0
          ? [`Loaded image ID: ${id}\n`]
          : names.map(({ repository, tag: label }) => `Loaded image: ${repository}:${label}\n`),
      );
      world.print(lines.join(''));
    }
    return 0;
  },
};

/** `runts save`. */
export const save: Command = {
  synopsis: ['[OPTIONS] IMAGE [IMAGE …]'],
  text: 'Writes images, with the names that they are asked for by, as an archive that docker load, podman load and skopeo read.',
  flags: {
    output: outputFlag,
    format: {
      names: ['--format'],
      value: 'FORMAT',
      choices: ['docker-archive', 'oci-archive', 'oci-dir'],
      doc: 'docker-archive (default, an OCI archive too), oci-archive, or oci-dir for a directory',
    },
  },
  grammar,
  async main(parsed, { world }) {
    const names = atLeast('save', parsed, 1);
    const path = outputOf('save', parsed, world);
    const format = textOf(parsed, 'format') ?? 'docker-archive';
    await (await world.imageVerbs()).save(names, path, format);
    return 0;
  },
};

/** `runts import`. */
export const importCommand: Command = {
  synopsis: ['[OPTIONS] FILE|- [REPOSITORY[:TAG]]'],
  text: 'Makes an image of one layer out of the archive of a root file system; - is standard input.',
  flags: {
    change: changeFlag,
    message: { names: ['--message', '-m'], value: 'TEXT', doc: 'for the history' },
    platform: { names: ['--platform'], value: 'PLATFORM', doc: 'what it runs on: linux/arm64; default this machine' },
  },
  grammar,
  async main(parsed, { world }) {
    const [file, reference, ...more] = atLeast('import', parsed, 1);
    if (more.length > 0) throw wrongCount('import', 'at most 2 arguments', parsed.rest.length);
    const words = {
      reference,
      changes: textsOf(parsed, 'change'),
      message: textOf(parsed, 'message'),
      platform: textOf(parsed, 'platform'),
    };
    const id = await (await world.imageVerbs()).import(file === '-' ? undefined : file, words);
    world.print(`${id}\n`);
    return 0;
  },
};

/** `runts login`. */
export const login: Command = {
  synopsis: ['[OPTIONS] [SERVER]'],
  text: 'Shows a user name and a password to a registry and keeps them where Docker does: in its helper, or in config.json.',
  flags: {
    username: { names: ['--username', '-u'], value: 'NAME', doc: 'the user name' },
    password: {
      names: ['--password', '-p'],
      value: 'TEXT',
      doc: 'the password; everybody here can see it: --password-stdin is better',
    },
    passwordStdin: { names: ['--password-stdin'], doc: 'take the password from standard input' },
  },
  grammar,
  async main(parsed, { world, log }) {
    const [server, ...more] = parsed.rest;
    if (more.length > 0) throw wrongCount('login', 'at most 1 argument', parsed.rest.length);
    const username = textOf(parsed, 'username');
    const password = isOn(parsed, 'passwordStdin') ? oneLine(await world.input()) : textOf(parsed, 'password');
    if (username === undefined || password === undefined) throw noCredentials(parsed);
    const { kept, path } = await (await world.imageVerbs()).login(server, username, password);
    if (kept === 'file') log.warn(`the password is kept unencrypted in ${path}; a credential helper would be safer`);
    world.print('Login Succeeded\n');
    return 0;
  },
};

const oneLine = (text: string): string => text.replace(/\r?\n$/, '');

function noCredentials(parsed: Parsed) {
  const message = textOf(parsed, 'username') === undefined ? '--username is missing' : '--password-stdin is missing';
  return specError('login', [{ path: '', message: `${message}: nobody is asked` }]);
}

/** `runts logout`. */
export const logout: Command = {
  synopsis: ['[SERVER]'],
  text: 'Forgets what login has kept for a registry.',
  flags: {},
  grammar,
  async main(parsed, { world }) {
    const [server, ...more] = parsed.rest;
    if (more.length > 0) throw wrongCount('logout', 'at most 1 argument', parsed.rest.length);
    const { domain, isGone } = await (await world.imageVerbs()).logout(server);
    world.print(isGone ? `Removing login credentials for ${domain}\n` : `Not logged in to ${domain}\n`);
    return 0;
  },
};
