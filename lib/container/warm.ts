import { defaultSeccomp } from '../host/prepare.ts';
import { createHost } from '../node/host.ts';
import { planContainer } from '../plan/container.ts';
import type { Facts } from '../plan/facts.ts';
import { encode } from '../program/encode.ts';
import { checkOptions } from '../spec/check-options.ts';
import { specFromOptions } from '../spec/from-options.ts';

/**
 * Compiles a container that nobody asked for. The first one of a process costs ten milliseconds (the seccomp filter, and
 * code that the engine has not seen yet); that is paid where the module is loaded, and not by a create while a server
 * answers its clients.
 */
export function warmUp(): void {
  const { kernel, arch, uid, gid, privileged } = createHost().environment;
  const nowhere = { mount: undefined, own: undefined, parent: undefined } as const;
  const cgroup = { mode: 'none', ...nowhere, controllers: [], occupied: false, legacy: [] } as const;
  const facts: Facts = {
    kernel,
    arch,
    uid,
    gid,
    privileged,
    subordinate: { uids: [], gids: [] },
    cgroup,
    hostRoot: {},
  };
  const options = { rootfs: '/', command: ['/bin/true'] } as const;
  checkOptions(options);
  const spec = specFromOptions(options, { id: 'warm', seccomp: defaultSeccomp(facts, options) });
  const root = { kind: 'directory', path: '/' } as const;
  encode(planContainer({ id: 'warm', spec, root, reap: true, stdio: 'pipes', ownStdio: true }, facts).segment);
}
