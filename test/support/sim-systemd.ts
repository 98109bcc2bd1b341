import { decodeMessage, messageLength } from '../../lib/dbus/message.ts';
import type { Value, Variant } from '../../lib/dbus/types.ts';
import { Writer } from '../../lib/dbus/write.ts';
import { decodeUtf8, encodeUtf8 } from '../../lib/program/utf8.ts';
import type { Peer, Sim } from './sim.ts';
import { cgroupRoot } from './sim-files.ts';

/** An answer, or a signal, as it goes over the wire. */
export function encodeMessage(
  kind: 'return' | 'error' | 'signal',
  { replyTo, error, signature = '', values = [] }: Answer & { readonly replyTo?: number },
): Uint8Array {
  const body = new Writer().all(signature, values).bytes();
  const field = (number: number, type: string, value: Value | undefined): Value[] =>
    value === undefined || value === '' ? [] : [[number, { signature: type, value }]];
  const writer = new Writer();
  writer.byte(0x6c).byte({ return: 2, error: 3, signal: 4 }[kind]).byte(1).byte(1).u32(body.length).u32(7);
  writer.value('a(yv)', [
    ...field(1, 'o', kind === 'signal' ? '/org/freedesktop/systemd1' : undefined),
    ...field(2, 's', kind === 'signal' ? 'org.freedesktop.systemd1.Manager' : undefined),
    ...field(3, 's', kind === 'signal' ? 'JobNew' : undefined),
    ...field(4, 's', error),
    ...field(5, 'u', replyTo),
    ...field(8, 'g', signature),
  ]);
  writer.align(8).append(body);
  return writer.bytes();
}

export interface Answer {
  readonly error?: string;
  readonly signature?: string;
  readonly values?: readonly Value[];
}

interface Unit {
  state: 'active' | 'failed';
  readonly cgroup: string;
  readonly made: readonly string[];
  readonly properties: Map<string, Value>;
}

/** What goes wrong at a call of a method. */
export type Trouble = 'refuse' | 'silence' | 'hang up' | 'half' | 'nonsense';

const refused = (name: string): Answer => ({ error: `org.freedesktop.${name}`, signature: 's', values: ['no'] });
const noUnit = refused('systemd1.NoSuchUnit');
const job = '/org/freedesktop/systemd1/job/1';

/** systemd, as far as scopes go: it makes cgroups, moves processes to them, and removes them when they are empty. */
export class ModelSystemd {
  readonly units = new Map<string, Unit>();
  /** The methods that were called. */
  readonly called: string[] = [];
  /** Limits that it has been told of, and is going to write when it has the time. */
  #later: (() => void)[] = [];
  #polls = 0;
  sim: Sim | undefined;
  trouble: Readonly<Record<string, Trouble>> = {};
  version = '252.39-1';

  /** For the option `serves` of the simulator. */
  readonly serves = (_: string, peer: Peer): ((bytes: Uint8Array) => void) => {
    let rest = new Uint8Array(0);
    let greeted = false;
    return (bytes) => {
      rest = Uint8Array.from([...rest, ...bytes]);
      if (!greeted) {
        const lines = decodeUtf8(rest);
        if (lines.endsWith('EXTERNAL\r\n')) peer.say(encodeUtf8('DATA\r\n'));
        else if (lines.endsWith('DATA\r\n')) peer.say(encodeUtf8('OK 0123456789abcdef\r\n'));
        if (!lines.endsWith('BEGIN\r\n')) return;
        greeted = true;
        rest = new Uint8Array(0);
        return;
      }
      for (
        let length = messageLength(rest);
        length !== undefined && rest.length >= length;
        length = messageLength(rest)
      ) {
        this.#hear(rest.slice(0, length), peer);
        rest = rest.slice(length);
      }
    };
  };

  /** Scopes that are empty end by themselves. */
  tidy(): void {
    for (const [name, unit] of this.units) if (!this.#isPopulated(unit)) this.#remove(name, unit);
  }

  #hear(bytes: Uint8Array, peer: Peer): void {
    const { member = '', path = '', values } = decodeMessage(bytes);
    const replyTo = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
    this.#writeLimits();
    this.called.push(member);
    const trouble = this.trouble[member];
    if (trouble === 'silence') return;
    const answer = trouble === 'refuse' ? refused('DBus.Error.AccessDenied') : this.#answer(member, path, values);
    const whole = encodeMessage(answer.error === undefined ? 'return' : 'error', { ...answer, replyTo });
    if (trouble === 'nonsense') peer.say(whole.map((byte) => byte ^ 0x55));
    else if (trouble === 'half') peer.say(whole.slice(0, whole.length / 2));
    if (trouble === 'hang up' || trouble === 'half') peer.hangUp();
    if (trouble !== undefined && trouble !== 'refuse') return;
    // With something else before it, and in two pieces.
    peer.say(Uint8Array.from([...encodeMessage('signal', { signature: 's', values: ['x'] }), ...whole.slice(0, 9)]));
    peer.say(whole.slice(9));
  }

  #answer(member: string, path: string, values: readonly Value[]): Answer {
    const [first, second, third] = values;
    const name = String(first);
    const unit = this.units.get(name);
    switch (member) {
      case 'Get':
        return this.#property(path, String(second));
      case 'GetUnit':
        return unit === undefined ? noUnit : { signature: 'o', values: [`/unit/${name}`] };
      case 'StartTransientUnit':
        return this.#start(name, third as [string, Variant][]);
      case 'KillUnit':
        if (unit === undefined) return noUnit;
        if (this.#isPopulated(unit)) this.#tree.write(`${unit.cgroup}/cgroup.kill`, '1');
        return {};
      case 'StopUnit':
        if (unit === undefined) return noUnit;
        if (unit.state === 'active') this.#remove(name, unit);
        return { signature: 'o', values: [job] };
      case 'ResetFailedUnit':
        if (unit?.state === 'failed') this.units.delete(name);
        return unit === undefined ? noUnit : {};
      case 'SetUnitProperties':
        return unit === undefined ? noUnit : this.#set(unit, third as [string, Variant][]);
      case 'AttachProcessesToUnit':
        if (unit === undefined) return noUnit;
        return this.#sim.moveTo(unit.cgroup + second, (third as number[])[0] ?? 0) ? {} : refused('DBus.Error.Failed');
      default:
        return refused('DBus.Error.UnknownMethod');
    }
  }

  #property(path: string, name: string): Answer {
    const text = (value: string): Answer => ({ signature: 'v', values: [{ signature: 's', value }] });
    if (name === 'Version') return text(this.version);
    if (name === 'ControlGroup') return text('');
    // A job takes a while.
    if (path === job) return ++this.#polls % 3 === 0 ? refused('DBus.Error.UnknownObject') : text('running');
    const unit = this.units.get(path.slice('/unit/'.length));
    return unit === undefined ? refused('DBus.Error.UnknownObject') : text(unit.state);
  }

  #start(name: string, list: readonly [string, Variant][]): Answer {
    const properties = new Map(list.map(([key, { value }]) => [key, value]));
    if (this.units.has(name)) return refused('systemd1.UnitExists');
    const slice = String(properties.get('Slice')).replace('.slice', '').split('-');
    const slices = slice.map((_, i) => `${slice.slice(0, i + 1).join('-')}.slice`);
    const made: string[] = [];
    let cgroup = cgroupRoot;
    for (const part of [...slices, name]) {
      this.#tree.entries.set(`${cgroup}/cgroup.subtree_control`, 'cpu memory pids');
      cgroup += `/${part}`;
      if (this.#tree.kind(cgroup) !== undefined) continue;
      this.#tree.makeDirectory(cgroup);
      made.push(cgroup);
    }
    const there = this.#sim.moveTo(cgroup, (properties.get('PIDs') as number[])[0] ?? 0);
    this.units.set(name, { state: there ? 'active' : 'failed', cgroup, made, properties });
    if (!there) this.#removeCgroup(made);
    return { signature: 'o', values: [job] };
  }

  /** It answers, and writes what it was told only afterwards. */
  #set(unit: Unit, list: readonly [string, Variant][]): Answer {
    for (const [key, { value }] of list) {
      unit.properties.set(key, value);
      if (key !== 'MemoryMax') continue;
      this.#later.push(() => this.#tree.write(`${unit.cgroup}/memory.max`, `as systemd rounds ${value}`));
    }
    this.#sim.inAWhile(() => this.#writeLimits());
    return {};
  }

  #writeLimits(): void {
    for (const write of this.#later.splice(0)) write();
  }

  #isPopulated({ cgroup }: Unit): boolean {
    return this.#tree.kind(cgroup) !== undefined && /populated 1/.test(this.#tree.read(`${cgroup}/cgroup.events`));
  }

  #remove(name: string, unit: Unit): void {
    if (this.#isPopulated(unit)) this.#tree.write(`${unit.cgroup}/cgroup.kill`, '1');
    this.units.delete(name);
    this.#removeCgroup(unit.made);
  }

  #removeCgroup(made: readonly string[]): void {
    for (const path of [...made].reverse()) this.#tree.removeAll(path);
  }

  get #sim(): Sim {
    if (this.sim === undefined) throw new Error('the model has no world yet');
    return this.sim;
  }

  get #tree() {
    return this.#sim.tree;
  }
}
