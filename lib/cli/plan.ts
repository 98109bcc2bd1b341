import { prepare } from '../host/prepare.ts';
import { probeFacts } from '../host/probe.ts';
import { volumesToCome } from '../host/volumes.ts';
import type { Input, Plan } from '../plan/plan.ts';
import { explain } from '../program/explain.ts';
import { namespaceFlags } from '../spec/names.ts';
import type { Command } from './command.ts';
import { containerFlags, containerOptions, newId } from './container-flags.ts';
import type { Parsed } from './parse.ts';
import type { World } from './world.ts';

/** `runts plan`: a container's plan as text. */
export const plan: Command = {
  synopsis: ['SOURCE [OPTIONS] [--] [COMMAND [ARG …]]'],
  text: `Prints what \`run\` would do with the same words: the namespaces, the id maps, what the host opens, and every op of the
init with the place in the configuration that it comes from. Nothing is made (but an image is unpacked, and removed).
SOURCE is one of --host, --rootfs, --image and --bundle.`,
  flags: containerFlags,
  docker: true,
  main: (parsed, { world }) => printPlan(parsed, world),
};

async function printPlan(parsed: Parsed, world: World): Promise<number> {
  const { host } = world;
  const options = containerOptions(parsed, world.terminal.size());
  const facts = await probeFacts(host);
  const request = {
    options,
    id: options.name ?? newId(host),
    ownStdio: false,
    images: world.images,
    volumes: volumesToCome(host),
  };
  const prepared = await prepare(host, facts, request);
  try {
    world.print(show(prepared.plan));
  } finally {
    await prepared.release();
  }
  return 0;
}

function show({ flags: bits, maps, cgroup, inputs, segment }: Plan): string {
  const names = Object.entries(namespaceFlags).filter(([, flag]) => (bits & flag) !== 0);
  const lines = [`clone      ${names.map(([name]) => name).join(' ')}`];
  if (maps !== undefined) {
    const line = (map: { container: number; host: number; size: number }) => `${map.container}:${map.host}:${map.size}`;
    lines.push(`uid map    ${maps.uids.map(line).join(' ')}  (${maps.by})`);
    lines.push(`gid map    ${maps.gids.map(line).join(' ')}  (setgroups ${maps.setgroups})`);
  }
  if (cgroup !== undefined) {
    lines.push(`cgroup     ${cgroup.parent}/${cgroup.path}`);
    for (const { file, value, origin } of cgroup.writes) lines.push(`           ${file} = ${value}  ; ${origin}`);
  }
  for (const input of inputs) lines.push(`input      ${input.register} = ${describe(input)}  ; ${input.origin}`);
  return `${lines.join('\n')}\n\n${explain(segment)}\n`;
}

function describe(input: Input): string {
  switch (input.kind) {
    case 'stdio':
      return `descriptor ${input.stream}`;
    case 'mount':
      return `clone of ${input.source}${input.recursive ? ', recursively' : ''}${input.idmap ? ', owners mapped' : ''}`;
    case 'namespace':
      return `namespace ${input.path}`;
    case 'empty_mounts':
      return 'a mount namespace with nothing in it';
    case 'process':
      return 'the first process of the container';
    case 'listener':
      return 'where it is started';
    case 'outlive':
      return `${typeof input.part === 'number' ? `segment ${input.part} of the log` : input.part}, for process 1`;
    case 'inherited':
      return `descriptor ${input.fd}`;
    case 'fuse':
      return `layers of ${input.layers.data}/${input.layers.base}, served by ${input.server.program}`;
    case 'view':
      return 'a system view, served by an init';
  }
}
