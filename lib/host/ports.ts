import type { Host } from './host.ts';
import { once } from './once.ts';

type Ports = Omit<Host, 'clock' | 'random' | 'environment'>;

/** A host with other ports, each made when it is asked for: most who have a host need one of them. */
export function withPorts(
  { clock, random, environment }: Host,
  make: { readonly [P in keyof Ports]: () => Ports[P] },
): Host {
  const files = once(make.files);
  const cgroups = once(make.cgroups);
  const processes = once(make.processes);
  const sockets = once(make.sockets);
  const kernel = once(make.kernel);
  return {
    ...{ clock, random, environment },
    get files() {
      return files();
    },
    get cgroups() {
      return cgroups();
    },
    get processes() {
      return processes();
    },
    get sockets() {
      return sockets();
    },
    get kernel() {
      return kernel();
    },
  };
}
