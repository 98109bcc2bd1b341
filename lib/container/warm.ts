import { defaultSeccomp } from '../host/prepare.ts';
import { createHost } from '../node/host.ts';
import { planContainer } from '../plan/container.ts';
import type { Facts } from '../plan/facts.ts';
import { seccompFilter } from '../plan/seccomp.ts';
import { encode } from '../program/encode.ts';
import { checkOptions } from '../spec/check-options.ts';
import { specFromOptions } from '../spec/from-options.ts';

/**
 * Compiles a container that nobody asked for, a step in each turn of the event loop. The first one of a process costs tens of
 * milliseconds (the seccomp filter, and code that the engine has not seen yet): neither who loads the module is to wait for
 * that, nor a server's clients while it makes its first container. A program that ends before ends all the same.
 */
export function warmUp(): void {
  const steps = compilation();
  const next = (): void => {
    try {
      if (steps.next().done !== true) setImmediate(next).unref();
    } catch {
      // What is wrong with this host is told by the call that meets it.
    }
  };
  setImmediate(next).unref();
}

function* compilation(): Generator<undefined, void> {
  const { kernel, arch, uid, gid, privileged } = createHost().environment;
  const nowhere = { mount: undefined, own: undefined, parent: undefined } as const;
  const cgroup = { mode: 'none', ...nowhere, controllers: [], occupied: false, legacy: [] } as const;
  const subordinate = { uids: [], gids: [] };
  const facts: Facts = { kernel, arch, uid, gid, privileged, subordinate, cgroup, hostRoot: {} };
  const options = { rootfs: '/', command: ['/bin/true'] } as const;
  checkOptions(options);
  yield;
  const seccomp = defaultSeccomp(facts, options);
  yield;
  seccompFilter(seccomp, arch);
  yield;
  const spec = specFromOptions(options, { id: 'warm', seccomp });
  yield;
  const root = { kind: 'directory', path: '/' } as const;
  const plan = planContainer({ id: 'warm', spec, root, reap: true, stdio: 'pipes', ownStdio: true }, facts);
  yield;
  encode(plan.segment);
}
