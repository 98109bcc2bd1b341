import type { CgroupFiles, Files, Host, Kernel, Processes, Sockets } from '../host/host.ts';

/** The same host, whose calls somebody hears of. */
export function observed(host: Host, hear: (line: string) => void): Host {
  return {
    ...host,
    files: told(host.files, 'files', hear),
    cgroups: told(host.cgroups, 'cgroups', hear),
    processes: told(host.processes, 'processes', hear),
    sockets: told(host.sockets, 'sockets', hear),
    kernel: told(host.kernel, 'kernel', hear),
  };
}

function told<T extends Files | CgroupFiles | Processes | Sockets | Kernel>(
  port: T,
  name: string,
  hear: (line: string) => void,
): T {
  return new Proxy(port, {
    get(target, key) {
      const method = Reflect.get(target, key) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        const call = `${name}.${String(key)}(${args.map(show).join(', ')})`;
        const result = method.apply(target, args);
        if (!(result instanceof Promise)) {
          hear(`${call} -> ${show(result)}`);
          return result;
        }
        return result.then(
          (value) => {
            hear(`${call} -> ${show(value)}`);
            return value;
          },
          (error) => {
            hear(`${call} failed: ${error}`);
            throw error;
          },
        );
      };
    },
  });
}

/** Short: what is read may be long, and handles say nothing. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value);
  if (value === null || typeof value !== 'object') return String(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `[${value.length > 8 ? `${value.length} items` : value.map(show).join(', ')}]`;
  if ('pid' in value) return `process ${String(value.pid)}`;
  if ('flags' in value) return `flags 0x${Number(value.flags).toString(16)}`;
  return value.constructor.name;
}
