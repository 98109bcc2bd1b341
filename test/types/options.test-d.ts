// What must compile, and, under @ts-expect-error, what must not. Nothing here is run: types.test.ts type-checks it.
import {
  type Address,
  type Container,
  type ContainerInfo,
  type ContainerOptions,
  createContainer,
  createRuntime,
  type ErrorCode,
  ExitError,
  type LogLine,
  type Ready,
  type Result,
  type RuntimeEvent,
  RuntsError,
  ready,
  run,
  type Stats,
  type Volume,
} from 'runts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const assert = <T extends true>(_is?: T): void => {};

// ---- exactly one source ------------------------------------------------------------------------------------------------

const host: ContainerOptions = { host: true, command: ['true'] };
const image: ContainerOptions = { image: './app.tar' };
const rootfs: ContainerOptions = { rootfs: './rootfs', command: ['/bin/true'] };
const bundle: ContainerOptions = { bundle: './bundle' };

// @ts-expect-error: no source
const none: ContainerOptions = { command: ['true'] };
// @ts-expect-error: two sources
const two: ContainerOptions = { host: true, rootfs: './rootfs' };
// @ts-expect-error: `host` is not a choice of one's own; leave it out
const notHost: ContainerOptions = { host: false, command: ['true'] };

// ---- the other options -------------------------------------------------------------------------------------------------

const limited: ContainerOptions = { host: true, limits: { memory: '512m', pids: 100, cpus: 0.5 } };
// @ts-expect-error: a command is a list, and never split
const line: ContainerOptions = { host: true, command: 'ls -l' };
// @ts-expect-error: a size is a number of bytes or a string with a unit
const size: ContainerOptions = { host: true, limits: { memory: 'lots' } };
// @ts-expect-error: an unknown option
const unknown: ContainerOptions = { host: true, comand: ['true'] };
// @ts-expect-error: a bind has a source
const bind: ContainerOptions = { host: true, mounts: [{ type: 'bind', target: '/data' }] };
// @ts-expect-error: capabilities have their whole names
const capability: ContainerOptions = { host: true, capabilities: { add: ['NET_ADMIN'] } };

// ---- results -----------------------------------------------------------------------------------------------------------

async function results(): Promise<void> {
  const result = await run({
    host: true,
    command: ['true'],
    reject: false,
    input: 'x',
    timeout: 1000,
    maxOutput: '1m',
  });
  assert<Same<typeof result, Result>>();
  assert<Same<typeof result.stdout, string>>();
  assert<Same<typeof result.exitCode, number | undefined>>();
  assert<Same<typeof result.signal, string | undefined>>();
  await run('./app.tar', ['true'], { timeout: 1000 });
  // @ts-expect-error: a result is not changed
  result.stdout = '';
  // @ts-expect-error: the options of a run are not those of a container
  await createContainer({ host: true, command: ['true'], timeout: 1000 });

  await using container = await createContainer({ host: true, command: ['true'] });
  assert<Same<typeof container, Container>>();
  const started = await container.start({ timeout: 1000 });
  assert<Same<typeof started, Container>>();
  for await (const entry of container.logs({ follow: true, tail: 5 })) assert<Same<typeof entry, LogLine>>();
  const { exitCode } = await container.stop({ grace: 100 });
  assert<Same<typeof exitCode, number | undefined>>();
  // @ts-expect-error: a container is made by createContainer alone
  new (container.constructor as typeof Container)();

  await using runtime = createRuntime({ root: '/tmp/images' });
  const list = await runtime.containers();
  assert<Same<typeof list, ContainerInfo[]>>();
}

// ---- errors ------------------------------------------------------------------------------------------------------------

function errors(error: unknown): ErrorCode | undefined {
  if (error instanceof ExitError) assert<Same<typeof error.result, Result>>();
  if (!RuntsError.is(error)) return undefined;
  // @ts-expect-error: the codes are a closed set
  if (error.code === 'ERR_OOPS') return undefined;
  return error.code;
}

// ---- what a container uses, its files, events --------------------------------------------------------------------------

async function used(container: Container): Promise<void> {
  assert<Same<typeof container.status, 'created' | 'running' | 'paused' | 'stopped'>>();
  const stats: Stats = await container.stats();
  // A controller need not be there.
  // @ts-expect-error: memory may be undefined
  const current: number = stats.memory.current;
  await container.update({ memory: '512m', pids: 10 });
  // @ts-expect-error: the words of the option `limits`
  await container.update({ mem: '512m' });
  await container.copyIn(await container.copyOut('/etc'), '/tmp');
  // @ts-expect-error: an archive, not its path
  await container.copyIn('/tmp/a.tar', '/tmp');
  void current;
}

async function heard(): Promise<void> {
  const runtime = createRuntime({ ephemeral: true });
  for await (const event of runtime.events({ since: new Date() })) {
    assert<Same<typeof event, RuntimeEvent>>();
    if (event.type === 'container') event.exit?.exitCode?.toFixed();
    // @ts-expect-error: only an image has a reference
    else if (event.type === 'volume') event.reference;
  }
  await runtime.containers({ labels: { a: 'b' }, status: 'paused' });
  // @ts-expect-error: no such state
  await runtime.containers({ status: 'dead' });
  assert<Same<Awaited<ReturnType<typeof runtime.container>>, Container>>();
}

// ---- networks, and what goes with its scope ----------------------------------------------------------------------------

async function reached(container: Container): Promise<void> {
  assert<Same<ReturnType<typeof container.address>, Address>>();
  const conditions: Ready[] = [ready.port(80), ready.http({ port: 80, path: '/' })];
  conditions.push(ready.all(ready.http({ port: 80, path: '/', status: 204 }), ready.log('up')));
  // @ts-expect-error: a number
  ready.port('80');
  // @ts-expect-error: a path is wanted
  ready.http({ port: 80 });
  // Everything that is owned goes with its scope.
  await using runtime = createRuntime({ ephemeral: true });
  await using volume: Volume = await runtime.volumes.create({ name: 'a' });
  await using made = await runtime.createContainer({
    host: true,
    mounts: [{ type: 'volume', source: volume, target: '/a' }],
  });
  void [made, conditions];
}

export {
  bind,
  bundle,
  capability,
  errors,
  heard,
  host,
  image,
  limited,
  line,
  none,
  notHost,
  reached,
  results,
  rootfs,
  size,
  two,
  unknown,
  used,
};
