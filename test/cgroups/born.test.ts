import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Container } from '../../lib/container/container.ts';
import { createHost } from '../../lib/node/host.ts';
import { Runtime } from '../../lib/runtime.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const withCgroups = testIf('root', 'cgroup2');

/** A runtime of a host that notes how processes got into cgroups. */
function watched() {
  const given = createHost();
  const { processes, cgroups } = given;
  const seen = { born: 0, moved: 0 };
  const runtime = new Runtime({
    ...given,
    processes: {
      ...processes,
      spawn(request) {
        if (request.cgroup !== undefined) seen.born++;
        return processes.spawn(request);
      },
    },
    cgroups: {
      ...cgroups,
      write(path, text) {
        if (path.endsWith('/cgroup.procs')) seen.moved++;
        return cgroups.write(path, text);
      },
    },
  });
  onTestFinished(() => runtime[Symbol.asyncDispose]());
  return { runtime, seen };
}

const newName = () => `runts-test-${process.pid}-${randomBytes(4).toString('hex')}`;

async function startedIn(runtime: Runtime, name: string): Promise<Container> {
  const container = await runtime.createContainer({
    host: true,
    command: ['sleep', '1000'],
    spec: (spec) => {
      spec.linux!.cgroupsPath = `/${name}`;
    },
  });
  return container.start();
}

withCgroups('a container is born in the cgroup that is made for it, and so are the commands in it', async () => {
  const { runtime, seen } = watched();
  const name = newName();
  const container = await startedIn(runtime, name);
  expect(seen).toEqual({ born: 1, moved: 0 });
  const { stdout } = await container.exec(['cat', '/proc/1/cgroup', '/proc/self/cgroup']);
  expect(new Set(stdout.match(/^0::.*$/gm))).toEqual(new Set(['0::/']));
  expect(seen).toEqual({ born: 2, moved: 0 });
  await container.remove({ force: true });
  expect(existsSync(join(cgroup2Root!, name))).toBe(false);
});

// From 6.15 on, who is born in a cgroup that somebody has killed once dies.
withCgroups('a cgroup that others made is entered, and stays when the container goes', async () => {
  const { runtime, seen } = watched();
  const name = newName();
  const path = join(cgroup2Root!, name);
  mkdirSync(path);
  onTestFinished(() => rmdirSync(path));
  for (let round = 1; round <= 2; round++) {
    const container = await startedIn(runtime, name);
    expect(seen).toEqual({ born: 0, moved: round });
    await container.remove({ force: true });
    expect(existsSync(path)).toBe(true);
  }
});
