import type { Files, Host, Look } from './host.ts';

/** More than that is not worth to be kept, and compared each time. */
const textLengthMax = 256 * 1024;
const looksMax = 16;

/** What a text of UTF-8 has in the place of what was none: the bytes cannot be told from it. */
const replacement = '\ufffd';

/** Notes where somebody looks on a host, and what there is. */
export class Witness {
  /** The same host. */
  readonly host: Host;
  /** Undefined as soon as somebody has looked at something, or done something, that is not noted. */
  #looks: Look[] | undefined = [];

  constructor(host: Host) {
    const { clock, random, environment } = host;
    const noted = this.#noting(host.files);
    const unseen = <P extends 'cgroups' | 'processes' | 'sockets' | 'kernel'>(port: P): Host[P] => {
      this.#looks = undefined;
      return host[port];
    };
    this.host = {
      ...{ clock, random, environment },
      files: noted,
      get cgroups() {
        return unseen('cgroups');
      },
      get processes() {
        return unseen('processes');
      },
      get sockets() {
        return unseen('sockets');
      },
      get kernel() {
        return unseen('kernel');
      },
    };
  }

  /** So far; undefined where they are not all that was looked at. */
  get looks(): readonly Look[] | undefined {
    return this.#looks && [...this.#looks];
  }

  #noting(files: Files): Files {
    const noted: Pick<Files, 'read' | 'readBelow' | 'isStraight'> = {
      read: async (path, how) => {
        const text = await files.read(path, how);
        this.#note({ at: 'file', path, text });
        return text;
      },
      readBelow: async (root, path, maxBytes) => {
        const text = await files.readBelow(root, path, maxBytes);
        this.#note({ at: 'below', root, path, text });
        return text;
      },
      isStraight: async (path) => {
        const straight = await files.isStraight(path);
        // Of what is not straight the links are looked at next.
        if (straight) this.#note({ at: 'straight', path });
        return straight;
      },
    };
    return new Proxy(files, {
      get: (target, name: keyof Files) => {
        if (name in noted) return noted[name as keyof typeof noted];
        this.#looks = undefined;
        return target[name];
      },
    });
  }

  #note(look: Look): void {
    const text = look.at === 'straight' ? '' : (look.text ?? '');
    if (text.length > textLengthMax || text.includes(replacement) || this.#looks?.length === looksMax) {
      this.#looks = undefined;
    }
    this.#looks?.push(look);
  }
}
