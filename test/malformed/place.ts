import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { main } from '../../lib/cli/main.ts';
import type { World } from '../../lib/cli/world.ts';
import { createWorld } from '../../lib/node/world.ts';
import { exampleSpec } from '../../lib/spec/example.ts';
import { stringifyJson } from '../../lib/spec/json.ts';
import { type Ended, type Options, runtsDetached } from '../cli/runts.ts';
import { isAlive, type Look, look, until } from '../support/look.ts';
import { busyboxRoot, temporaryDirectory } from '../support/rootfs.ts';

// biome-ignore lint/suspicious/noExplicitAny: a document that cases spoil at will.
export type Config = any;

/** What a command came to. */
export type Outcome = Pick<Ended, 'code' | 'signal' | 'stdout' | 'stderr'>;

/**
 * `RUNTS_MALFORMED=all` tries every value of every field, and `binary` does all of it by the real binary, a process for each
 * call; without it `npm test` takes a sample of what reaches the kernel, and calls `main` in its own process.
 */
const mode = process.env['RUNTS_MALFORMED'] ?? 'sample';
export const everything = mode !== 'sample';
export const byBinary = mode === 'binary';

const ordinary = process.getuid?.() !== 0;

/** How the names of our containers begin, and with them those of their cgroups: others run tests here, too. */
const prefix = `runts-test-${process.pid}-`;

/** A configuration that works, for whoever runs this. */
export function goodConfig(rootfs: string): Config {
  const config: Config = exampleSpec({
    hostname: 'box',
    cgroupNamespace: false,
    ...(ordinary && { rootless: { uid: process.getuid!(), gid: process.getgid!() } }),
  });
  config.root = { path: rootfs };
  Object.assign(config.process, { terminal: false, args: ['true'], env: ['PATH=/bin', 'HOME=/root'] });
  return config;
}

/** A state directory, a root file system and a bundle that is written anew for each case. */
export class Place {
  readonly #directory = temporaryDirectory();
  readonly #rootfs = busyboxRoot();
  readonly path = this.#directory.path;
  readonly rootfs = this.#rootfs.path;
  readonly state = join(this.path, 'state');
  readonly bundle = join(this.path, 'bundle');
  readonly config = join(this.bundle, 'config.json');
  #count = 0;

  constructor() {
    mkdirSync(this.state, { mode: 0o700 });
    mkdirSync(this.bundle);
  }

  /** An id that no other container of this machine has. */
  newId(): string {
    return `${prefix}${++this.#count}`;
  }

  /** Puts a document into the bundle: a value, or the very text. */
  write(document: unknown): void {
    rmSync(this.config, { recursive: true, force: true });
    const isText = typeof document === 'string' || document instanceof Uint8Array;
    writeFileSync(this.config, isText ? document : stringifyJson(document));
  }

  /** The command line, in this process: `main` over the world of bin/runts.js, whose output is caught. */
  async here(args: readonly string[], { cwd = this.bundle, input = '' }: Options = {}): Promise<Outcome> {
    const said = { stdout: '', stderr: '' };
    const say = (stream: 'stdout' | 'stderr', text: string): void => {
      said[stream] += text;
    };
    const world = createWorld();
    const caught: World = Object.create(world, {
      name: { value: 'runts' },
      print: { value: (text: string) => say('stdout', text) },
      printError: { value: (text: string) => say('stderr', text) },
      input: { value: async () => input },
    });
    const before = process.cwd();
    process.chdir(cwd);
    try {
      const code = await main(['--root', this.state, ...args], caught);
      return { code, signal: null, ...said };
    } finally {
      process.chdir(before);
    }
  }

  /** The same by the real binary, as a process of its own. */
  binary(args: readonly string[], options: Omit<Options, 'input'> = {}): Promise<Outcome> {
    return runtsDetached(['--root', this.state, ...args], { cwd: this.bundle, ...options });
  }

  /** By whichever the mode says. */
  call(args: readonly string[], options?: Options): Promise<Outcome> {
    return byBinary ? this.binary(args, options) : this.here(args, options);
  }

  /** Our host, without what has ended: in this process nobody waits for a container that was to outlive its command. */
  look(): Look {
    const now = look({ directories: [this.path], cgroups: prefix });
    const living = now.processes.filter((process) => isAlive(Number(process.split(' ')[0])));
    return { ...now, processes: living, namespaces: [] };
  }

  /** Expects that nothing was left: processes, mounts, descriptors, cgroups, files. */
  async unchanged(before: Look): Promise<void> {
    await until(() => JSON.stringify(this.look()) === JSON.stringify(before), 5000);
    expect(this.look()).toEqual(before);
  }

  /** What is left below the state directory. */
  left(): string[] {
    return existsSync(this.state) ? readdirSync(this.state) : [];
  }

  remove(): void {
    this.#directory.remove();
    this.#rootfs.remove();
  }
}

/** How much of a message a person reads. */
const lineMax = 4096;

/**
 * What a command that was refused says: one line, of ours, that tells neither of a stack nor of a mistake of ours. Lines that
 * begin with blanks belong to it, and warnings may stand before it.
 */
export function complaint({ code, signal, stderr }: Outcome): string {
  expect({ code, signal, stderr }).toEqual({ code: expect.any(Number), signal: null, stderr: expect.any(String) });
  expect(code, stderr).toBeGreaterThan(0);
  const said = stderr.replace(/\n(?: {2}.*\n)+$/, '\n').split('\n');
  const own = said.filter((line) => line !== '' && !/^time="[^"]+" level=warning /.test(line));
  expect(own, stderr.slice(0, lineMax)).toHaveLength(1);
  expect(own[0]).not.toMatch(/internal error|\bat \S+:\d+:\d+|\bundefined\b(?!")|\[object/);
  expect(own[0]!.length).toBeLessThan(lineMax);
  // As it stands a terminal shows it: no commands to that.
  expect(own[0]).not.toMatch(/[\0-\x08\x0b-\x1f\x7f-\x9f]/);
  return stderr;
}
