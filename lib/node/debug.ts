import createDebug from 'debug';
import type { Files, Host, Processes } from '../host/host.ts';

const say = createDebug('runts:host');

/** With `DEBUG=runts:host`, tells of every call that the core makes of this host, and what came of it. */
export function debugged(host: Host): Host {
  if (!say.enabled) return host;
  return { ...host, files: told(host.files, 'files'), processes: told(host.processes, 'processes') };
}

function told<T extends Files | Processes>(port: T, name: string): T {
  return new Proxy(port, {
    get(target, key) {
      const method = Reflect.get(target, key) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        const call = `${name}.${String(key)}(${args.map(show).join(', ')})`;
        const result = method.apply(target, args);
        if (!(result instanceof Promise)) {
          say('%s -> %s', call, show(result));
          return result;
        }
        return result.then(
          (value) => {
            say('%s -> %s', call, show(value));
            return value;
          },
          (error) => {
            say('%s failed: %s', call, error);
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
  if (Array.isArray(value)) return `[${value.length > 8 ? `${value.length} items` : value.map(show).join(', ')}]`;
  if ('pid' in value) return `process ${String(value.pid)}`;
  if ('flags' in value) return `flags 0x${Number(value.flags).toString(16)}`;
  return value.constructor.name;
}
