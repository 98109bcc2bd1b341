import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { createContainer } from '../../lib/host/create.ts';
import { type Prepared, prepare } from '../../lib/host/prepare.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { remove } from '../../lib/host/remove.ts';
import { start } from '../../lib/host/start.ts';
import { Images } from '../../lib/images/images.ts';
import { imagePort } from '../../lib/images/port.ts';
import { createHost } from '../../lib/node/host.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import type { Facts } from '../../lib/plan/facts.ts';
import { tags } from '../../lib/plan/plan.ts';
import { errnoNumber } from '../../lib/program/errno.ts';
import type { Op } from '../../lib/program/ops.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { ContainerOptions } from '../../lib/spec/options.ts';
import { expectUnchanged, type Look, look } from '../support/look.ts';
import { can, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';

const mapped = process.getuid?.() === 0 || can('subuids') === true;
const prefix = `test-${process.pid}-`;
const cgroups = `runts-${prefix}`;

let rootfs: TemporaryDirectory;
let work: TemporaryDirectory;
let facts: Facts;
const host = createHost();

beforeAll(async () => {
  work = temporaryDirectory();
  rootfs = can('busybox') === true ? busyboxRoot() : temporaryDirectory();
  mkdirSync(join(work.path, 'shared'));
  const spec = { ...defaultSpec(), hostname: 'bundled' };
  spec.root.path = rootfs.path;
  spec.root.readonly = true;
  spec.process!.args = ['true'];
  spec.process!.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 64, hard: 64 }];
  spec.process!.oomScoreAdj = 500;
  spec.linux.sysctl = { 'net.ipv4.ip_forward': '1' };
  mkdirSync(join(work.path, 'bundle'));
  writeFileSync(join(work.path, 'bundle/config.json'), JSON.stringify(spec));
  facts = await probeFacts(host);
});
afterAll(() => {
  rootfs.remove();
  work.remove();
});

type Request = () => ContainerOptions;
/** Once in a cgroup of its own, where there can be one. */
function placed(id: string): Pick<ContainerOptions, 'spec'> {
  if (facts.cgroup.parent === undefined) return {};
  return {
    spec: (spec) => {
      spec.linux.cgroupsPath = `/runts-${id}`;
    },
  };
}

const mounts = (): ContainerOptions['mounts'] => [
  { type: 'bind', source: join(work.path, 'shared'), target: '/shared' },
  { type: 'bind', source: join(work.path, 'shared'), target: '/fixed', readonly: true },
  { type: 'tmpfs', target: '/scratch', size: '1m' },
];
const requests: readonly (readonly [name: string, isSupported: boolean, request: Request])[] = [
  ['host-root', true, () => ({ host: true, command: ['true'], time: { boottime: 1 } })],
  ['host-root-bare', true, () => ({ host: true, command: ['true'], init: false, readonly: true })],
  [
    'rootfs',
    can('busybox') === true,
    () => ({ rootfs: rootfs.path, command: ['true'], mounts: mounts()!, user: mapped ? 'app' : '0' }),
  ],
  [
    'terminal',
    can('busybox') === true,
    () => ({ rootfs: rootfs.path, command: ['true'], tty: true, mounts: mounts()!, init: false }),
  ],
  ['bundle', can('busybox') === true, () => ({ bundle: join(work.path, 'bundle') })],
  [
    'bundle-reaped',
    can('busybox') === true,
    () => ({ bundle: join(work.path, 'bundle'), init: true, ...(mapped && { user: 'app' }) }),
  ],
];

const parallel = 8;

describe.each(requests)('%s', (name, isSupported, request) => {
  const test = isSupported ? testIf('userns') : testIf('userns', 'busybox');

  test.each(['EIO', 'EPERM'])(
    'every op fails once with %s, is told, and leaves the host as it was',
    { timeout: 120_000 },
    async (errno) => {
      const { plan, release } = await prepared(request, `${prefix}${name}`);
      await release();
      const { ops } = plan.segment;
      expect(ops.length).toBeGreaterThan(25);
      // Once to its end, so that what Node opens for the first time is open.
      expect(await failing(request, `${prefix}${name}`, undefined, errno)).toEqual({ error: undefined, started: true });
      const before = look({ cgroups });
      const afterStart = ops.findIndex((op) => op.op === 'sync' && op.operands.tag === tags.start);
      for (let first = 0; first < ops.length; first += parallel) {
        const batch = ops.slice(first, first + parallel).map((op, i) => [op, first + i] as const);
        await Promise.all(
          batch.map(async ([op, index]) => {
            const outcome = await failing(request, `${prefix}${name}-${index}`, index, errno);
            expectFailure(outcome, { op, ops, index, errno, created: index > afterStart });
          }),
        );
        await unchangedAfter(before, batch[0]![1]);
      }
    },
  );
});

interface Outcome {
  readonly error: unknown;
  /** Whether the failure, if any, came from `start`. */
  readonly started: boolean;
}

/** One life, with a failure at one op of the plan. */
async function failing(request: Request, id: string, failAt: number | undefined, errno: string): Promise<Outcome> {
  const { plan, terminal, release } = await prepared(request, id);
  const stdio = terminal ? undefined : openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  let started = false;
  try {
    const faults = failAt === undefined ? {} : { failAt, failErrno: errnoNumber(errno) };
    const created = await createContainer(host, plan, { facts, stdio: stdio?.handles, ...faults });
    started = true;
    try {
      const running = await start(created);
      await running.exit;
    } finally {
      await remove(created);
    }
    return { error: undefined, started };
  } catch (error) {
    return { error, started };
  } finally {
    stdio?.close();
    await release();
  }
}

function prepared(request: Request, id: string): Promise<Prepared> {
  const options = { ...request(), ...placed(id) } as ContainerOptions;
  const images = imagePort(new Images({ directory: host.environment.dataDirectory }));
  return prepare(host, facts, { options, id, ownStdio: true, images });
}

interface Expected {
  readonly op: Op;
  readonly ops: readonly Op[];
  readonly index: number;
  readonly errno: string;
  /** The failure comes after the container was made. */
  readonly created: boolean;
}

function expectFailure({ error, started }: Outcome, { op, ops, index, errno, created }: Expected): void {
  const where = { index, op: op.op };
  if (error === undefined) {
    // Passed over: the errno is expected there, or the op is an alternative to one that worked.
    const isAlternative = ops.some(({ skip = 0 }, i) => i < index && index <= i + skip);
    expect({ ...where, mayPass: isAlternative || op.unless?.includes(errno) === true }).toEqual({
      ...where,
      mayPass: true,
    });
    return;
  }
  expect({ ...where, runts: RuntsError.is(error), error: String(error) }).toMatchObject({ runts: true });
  const { failure, origin, code } = error as RuntsError;
  const pattern = { index, op: op.op, errno };
  expect({ ...where, failure }).toEqual({ ...where, failure: expect.objectContaining(pattern) });
  expect({ ...where, origin }).toEqual({ ...where, origin: op.origin });
  expect(['ERR_SETUP', 'ERR_EXEC']).toContain(code);
  expect({ ...where, started }).toEqual({ ...where, started: created });
}

async function unchangedAfter(before: Look, first: number): Promise<void> {
  try {
    await expectUnchanged(before, { cgroups });
  } catch (error) {
    throw new Error(`something is left behind after the failures of the ops from ${first} on`, { cause: error });
  }
}
