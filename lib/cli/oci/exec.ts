import { RuntsError } from '../../errors.ts';
import { errnoOf } from '../../host/failure.ts';
import type { ExecRequest, Executed } from '../../host/oci/exec.ts';
import { parseJson, withoutNulls } from '../../spec/json.ts';
import type { Process, Spec } from '../../spec/types.ts';
import type { Command, Context } from '../command.ts';
import { checkedProcess, execProcess } from '../exec-process.ts';
import { isOn, type Parsed, textsOf } from '../parse.ts';
import { type Signals, underSignals } from '../signals.ts';
import { attend, joined } from './attend.ts';
import { wrongCount } from './common.ts';
import { inherited, withSockets } from './inherited.ts';
import { checkTerminal, handOverFlags, pathOf, preserved } from './make.ts';

/** `runts exec`. */
export const exec: Command = {
  synopsis: ['[OPTIONS] ID COMMAND [ARG …]', '[OPTIONS] --process FILE ID'],
  text: `Runs another process in a container, with everything that its configuration says of the container's own process; the
options change that. The exit code is the command's, 128 + n when signal n ended it, and 255 for our own errors. Options
end at the ID.`,
  flags: {
    process: {
      names: ['--process', '-p'],
      value: 'FILE',
      doc: 'all of the process as JSON; other options about it are ignored',
    },
    cwd: { names: ['--cwd'], value: 'DIR', doc: 'working directory in the container' },
    env: { names: ['--env', '-e'], value: 'NAME=VALUE', repeat: true, doc: 'add a variable' },
    tty: { names: ['--tty', '-t'], doc: 'a terminal for the command' },
    consoleSize: { names: ['--console-size'], value: 'WIDTHxHEIGHT', doc: 'the size that the terminal begins with' },
    user: { names: ['--user', '-u'], value: 'UID[:GID]', doc: 'who it runs as, in numbers' },
    additionalGids: { names: ['--additional-gids', '-g'], value: 'GID', repeat: true, doc: 'one more group' },
    cap: { names: ['--cap', '-c'], value: 'CAP', repeat: true, doc: 'one more capability' },
    noNewPrivs: { names: ['--no-new-privs'], doc: 'no program can give it more privileges' },
    apparmor: { names: ['--apparmor'], value: 'PROFILE', doc: 'another AppArmor profile' },
    processLabel: { names: ['--process-label'], value: 'LABEL', doc: 'another SELinux label' },
    cgroup: {
      names: ['--cgroup'],
      value: 'PATH',
      repeat: true,
      doc: "a cgroup below the container's, which must exist",
    },
    ignorePaused: { names: ['--ignore-paused'], doc: 'in a paused container, too: it runs when that is resumed' },
    detach: { names: ['--detach', '-d'], doc: 'do not wait for it' },
    ...handOverFlags,
    noNewKeyring: { names: ['--no-new-keyring'], doc: "keep the caller's session keyring" },
    noSubreaper: { names: ['--no-subreaper'], doc: 'accepted: we never are a subreaper' },
  },
  grammar: { lenient: true },
  words: 'containers',
  failure: 255,
  async main(parsed, context) {
    const { world } = context;
    return underSignals(world, async (signals) => {
      const request = await execRequest(parsed, context, signals);
      const executed = await execute(request, context);
      signals.hold();
      if (isOn(parsed, 'detach')) {
        executed.release();
        return 0;
      }
      return await joined(executed.console, world, (shown) => attend(executed, signals, shown)).finally(
        executed.release,
      );
    });
  },
};

async function execute(request: ExecRequest, { world }: Context): Promise<Executed> {
  const [oci, { probeFacts }] = await Promise.all([import('../../host/oci/exec.ts'), import('../../host/probe.ts')]);
  try {
    return await oci.exec(world.host, await probeFacts(world.host, { ofDirectory: true }), request);
  } finally {
    for (const handle of request.stdio ?? []) handle.close();
  }
}

async function execRequest(parsed: Parsed, context: Context, cancel: Signals): Promise<ExecRequest> {
  const [id, ...command] = parsed.rest;
  const file = pathOf(parsed, 'process', context);
  if (id === undefined || (file === undefined && command.length === 0)) {
    throw wrongCount('exec', 'ID and a COMMAND, or --process FILE and ID', parsed.rest);
  }
  const { world, root } = context;
  const { load, openUnlocked, theRecord } = await import('../../host/oci/store.ts');
  const entry = openUnlocked(root, id);
  await theRecord(world.host, entry);
  const spec = (await load(world.host, entry, 'config.json')) as Spec;
  const warn = (message: string): void => context.log.warn(message);
  const given = file === undefined ? execProcess(spec, parsed, command) : await readProcess(context, spec, file);
  const process = withSockets(given, inherited(world));
  const consoleSocket = pathOf(parsed, 'consoleSocket', context);
  checkTerminal(process, consoleSocket, isOn(parsed, 'detach'), world.name);
  return {
    root,
    id,
    process,
    consoleSocket,
    pidFile: pathOf(parsed, 'pidFile', context),
    pidfdSocket: pathOf(parsed, 'pidfdSocket', context),
    preserveFds: preserved(parsed, context),
    detached: isOn(parsed, 'detach'),
    noNewKeyring: isOn(parsed, 'noNewKeyring'),
    cgroup: cgroupBelow(parsed),
    ignorePaused: isOn(parsed, 'ignorePaused'),
    stdio: process.terminal === true ? undefined : world.stdio(),
    plainOutput: consoleSocket === undefined && !world.terminal.output,
    warn,
    cancel,
  };
}

async function readProcess({ world }: Context, spec: Spec, path: string): Promise<Process> {
  const text = await world.host.files.read(path, 'strict').catch((error: unknown) => {
    if (RuntsError.is(error)) throw error;
    throw new RuntsError('ERR_SPEC', `cannot read ${path}: ${errnoOf(error) ?? error}`, {
      hint: '--process names a file with the `process` of an OCI configuration.',
      cause: error,
    });
  });
  return checkedProcess(spec, withoutNulls(parseJson(text, path)), `${path} is not a valid process`);
}

/** With cgroup v1 a path can be told for each controller, `cpu:x`; here there is one tree. */
function cgroupBelow(parsed: Parsed): string | undefined {
  const paths = textsOf(parsed, 'cgroup');
  const last = paths[paths.length - 1];
  const controller = paths.find((path) => path.includes(':'));
  if (controller === undefined) return last;
  throw new RuntsError(
    'ERR_UNSUPPORTED',
    `unknown controller in --cgroup ${controller}: with cgroup v2 there is one path`,
    {
      hint: 'Give the path alone: --cgroup PATH.',
    },
  );
}
