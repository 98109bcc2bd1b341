/** An error as the ports give it: with the errno's name as its code. */
export function errno(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: ${what}`), { code });
}

export const cgroupRoot = '/sys/fs/cgroup';
export const resctrlRoot = '/sys/fs/resctrl';

/** What the files need to know of the processes of the model. */
export interface Inhabitants {
  /** How many processes are in the cgroup, or below it. */
  in(cgroup: string): number;
  kill(cgroup: string): void;
}

const controllerFiles: Readonly<Record<string, readonly string[]>> = {
  memory: ['memory.max', 'memory.high'],
  pids: ['pids.max'],
  cpu: ['cpu.max', 'cpu.weight'],
};

/** A tree of files in memory, with a cgroup v2 hierarchy that keeps the kernel's rules. */
export class Tree {
  readonly entries = new Map<string, string | { readonly link: string } | null>();
  readonly locks = new Set<string>();
  readonly #inhabitants: Inhabitants;

  constructor(inhabitants: Inhabitants, files: Readonly<Record<string, string | { readonly link: string } | null>>) {
    this.#inhabitants = inhabitants;
    for (const [path, content] of Object.entries(files)) {
      this.#directoriesAbove(path);
      this.entries.set(path, content);
    }
    this.#directoriesAbove(`${cgroupRoot}/x`);
    this.#fillCgroup(cgroupRoot, 'cpu memory pids');
  }

  kind(path: string): 'directory' | 'file' | undefined {
    const entry = this.entries.get(path);
    if (entry === undefined) return path === '/' ? 'directory' : undefined;
    return entry === null ? 'directory' : 'file';
  }

  /** What the kernel refuses a path with that is to lead to a cgroup; undefined where it may. */
  cgroupFault(path: string): string | undefined {
    const names = path.split('/').slice(1);
    if (names.some((name) => name === '.' || name === '..')) return 'EINVAL';
    const ways = names.map((_, i) => `/${names.slice(0, i + 1).join('/')}`);
    if (ways.some((way) => typeof this.entries.get(way) === 'object' && this.entries.get(way) !== null)) return 'ELOOP';
    return isCgroup(path) ? undefined : 'EXDEV';
  }

  canWrite(path: string): boolean {
    return this.entries.has(path);
  }

  read(path: string): string {
    if (isCgroup(path) && path.endsWith('/cgroup.events')) {
      const cgroup = path.slice(0, path.lastIndexOf('/'));
      if (this.entries.has(path)) {
        return `populated ${this.#inhabitants.in(cgroup) > 0 ? 1 : 0}\nfrozen ${this.#isFrozen(cgroup) ? 1 : 0}\n`;
      }
    }
    const entry = this.entries.get(path);
    if (entry === undefined) throw errno('ENOENT', path);
    if (typeof entry !== 'string') throw errno('EISDIR', path);
    return entry;
  }

  write(path: string, text: string): void {
    const old = this.read(path);
    const cgroup = path.slice(0, path.lastIndexOf('/'));
    if (isCgroup(path) && path.endsWith('/cgroup.kill')) this.#inhabitants.kill(cgroup);
    else if (isCgroup(path) && path.endsWith('/cgroup.subtree_control')) this.#enable(cgroup, old, text);
    else this.entries.set(path, text);
  }

  list(path: string): string[] {
    if (this.kind(path) !== 'directory') throw errno('ENOENT', path);
    const prefix = path === '/' ? '/' : `${path}/`;
    const names = [...this.entries.keys()].filter((p) => p.startsWith(prefix)).map((p) => p.slice(prefix.length));
    return names.filter((name) => !name.includes('/'));
  }

  makeDirectory(path: string): void {
    if (this.entries.has(path)) throw errno('EEXIST', path);
    const above = path.slice(0, path.lastIndexOf('/')) || '/';
    if (this.kind(above) !== 'directory') throw errno('ENOENT', path);
    this.entries.set(path, null);
    if (isCgroup(path)) this.#fillCgroup(path, this.read(`${above}/cgroup.subtree_control`));
    if (isResctrl(path)) this.#fillGroup(path);
  }

  removeDirectory(path: string): void {
    if (this.kind(path) !== 'directory') throw errno('ENOENT', path);
    const names = this.list(path);
    if (isCgroup(path)) {
      const occupied = names.some((name) => this.kind(`${path}/${name}`) === 'directory');
      if (occupied || this.#inhabitants.in(path) > 0) throw errno('EBUSY', path);
      for (const name of names) this.entries.delete(`${path}/${name}`);
    } else if (isResctrl(path)) this.removeAll(path);
    else if (names.length > 0) throw errno('ENOTEMPTY', path);
    this.entries.delete(path);
  }

  removeFile(path: string): void {
    this.read(path);
    this.entries.delete(path);
  }

  removeAll(path: string): void {
    for (const key of [...this.entries.keys()])
      if (key === path || key.startsWith(`${path}/`)) this.entries.delete(key);
  }

  #directoriesAbove(path: string): void {
    for (let at = path.indexOf('/', 1); at > 0; at = path.indexOf('/', at + 1))
      this.entries.set(path.slice(0, at), null);
  }

  #fillCgroup(path: string, controllers: string): void {
    const enabled = controllers.split(' ').filter((name) => name !== '');
    for (const name of ['procs', 'subtree_control']) this.entries.set(`${path}/cgroup.${name}`, '');
    this.entries.set(`${path}/cgroup.controllers`, enabled.join(' '));
    if (path === cgroupRoot) return;
    for (const name of ['events', 'kill']) this.entries.set(`${path}/cgroup.${name}`, '');
    this.entries.set(`${path}/cgroup.type`, 'domain\n');
    this.entries.set(`${path}/cgroup.freeze`, '0\n');
    for (const name of enabled.flatMap((c) => controllerFiles[c] ?? [])) this.entries.set(`${path}/${name}`, 'max');
  }

  /** A class of service, with groups that count below it; those have nothing to set. */
  #fillGroup(path: string): void {
    this.entries.set(`${path}/tasks`, '');
    if (path.includes('/mon_groups/')) return;
    this.entries.set(`${path}/schemata`, '    MB:0=100;1=100\n    L3:0=fff;1=fff\n');
    this.entries.set(`${path}/mon_groups`, null);
  }

  #isFrozen(cgroup: string): boolean {
    if (cgroup === cgroupRoot) return false;
    const own = this.entries.get(`${cgroup}/cgroup.freeze`);
    return own?.toString().trim() === '1' || this.#isFrozen(cgroup.slice(0, cgroup.lastIndexOf('/')));
  }

  #enable(cgroup: string, old: string, text: string): void {
    const available = this.read(`${cgroup}/cgroup.controllers`).split(' ');
    const added = text.split(' ').map((word) => word.replace(/^\+/, ''));
    if (added.some((name) => !available.includes(name))) throw errno('ENOENT', `${text} in ${cgroup}`);
    this.entries.set(`${cgroup}/cgroup.subtree_control`, [...new Set([...old.split(' '), ...added])].join(' ').trim());
  }
}

const isResctrl = (path: string) => path.startsWith(`${resctrlRoot}/`);
export const isCgroup = (path: string) => path === cgroupRoot || path.startsWith(`${cgroupRoot}/`);
