// What is compiled once for many containers is what would be compiled for each.
import { describe, expect, test } from 'vitest';
import { compiledPlan, compiledSpec } from '../../../lib/host/compiled.ts';
import { planContainer } from '../../../lib/plan/container.ts';
import type { Facts } from '../../../lib/plan/facts.ts';
import { encode } from '../../../lib/program/encode.ts';
import { encoded } from '../../../lib/program/encoded.ts';
import { defaultProfile } from '../../../lib/seccomp/default.ts';
import { constant } from '../../../lib/spec/constant.ts';
import { defaultCapabilities, defaultSpec } from '../../../lib/spec/defaults.ts';
import { specFromOptions } from '../../../lib/spec/from-options.ts';
import { type Lookups, nothingFound } from '../../../lib/spec/lookups.ts';
import type { CommonOptions } from '../../../lib/spec/options.ts';
import type { SeccompProfile, Spec } from '../../../lib/spec/types.ts';

const facts = (): Facts => ({
  kernel: '6.1.0',
  arch: 'x64',
  uid: 0,
  gid: 0,
  privileged: true,
  subordinate: { uids: [{ start: 100_000, count: 65_536 }], gids: [{ start: 100_000, count: 65_536 }] },
  cgroup: {
    mode: 'unified',
    mount: '/sys/fs/cgroup',
    own: '/sys/fs/cgroup/us',
    parent: '/sys/fs/cgroup',
    controllers: ['memory', 'pids'],
    occupied: false,
    legacy: [],
  },
  hostRoot: { bin: { link: 'usr/bin' }, usr: 'directory' },
});
const random = (bytes: number) => Uint8Array.from({ length: bytes }, (_, i) => 37 * i + 11);
const seccomp = constant(
  defaultProfile({ arch: 'x64', capabilities: defaultCapabilities }),
) as unknown as SeccompProfile;

interface Asked {
  readonly options: CommonOptions;
  readonly root?: string;
  readonly bundle?: Spec;
  readonly lookups?: Lookups;
  readonly overlay?: boolean;
}

let count = 0;
const newId = () => (++count).toString(16).padStart(8, '0').repeat(8);

/** As lib/host/prepare.ts does it. */
function compiled(id: string, { options, root = '/image', bundle, lookups = nothingFound, overlay }: Asked, of: Facts) {
  const parts = { options, root };
  const make = (own: string, { options, root }: typeof parts) =>
    specFromOptions(options, { bundle, root, id: own, seccomp });
  const spec = compiledSpec({ random }, of, { id, parts, constants: [bundle, seccomp] }, make);
  const place = { data: '/data', base: `containers/${id}`, lower: ['l/1'], upper: 'upper', work: `/w/${id}/work` };
  const request = {
    id,
    spec,
    root: overlay ? ({ kind: 'overlay', layers: place } as const) : ({ kind: 'directory', path: root } as const),
    reap: true,
    stdio: 'pipes',
    ownStdio: true,
    counted: true,
    lookups,
  } as const;
  const plan = compiledPlan(request, of);
  const direct = make(id, parts);
  const afresh = planContainer({ ...request, spec: direct }, of);
  return { spec, plan, bytes: encoded(plan.segment), direct, afresh };
}

const command = ['/bin/true'];
const idle: CommonOptions = { command };

describe('of several containers that differ in their ids, each has what it would have alone', () => {
  test.each<[string, Asked]>([
    ['its host name and variables', { options: idle }],
    ['a host name that it was given', { options: { command, hostname: 'web', env: { A: 'b' } } }],
    ['a root that is named after it', { options: idle, overlay: true }],
    [
      'a bundle',
      { options: {}, bundle: constant({ ...defaultSpec(), process: { ...defaultSpec().process!, args: command } }) },
    ],
    [
      'limits and mounts',
      { options: { command, limits: { memory: '64m', pids: 10 }, mounts: [{ type: 'tmpfs', target: '/t' }] } },
    ],
    ['no ids of the host', { options: { command, userns: 'auto', readonly: true, cwd: '/x' } }],
  ])('%s', (_, asked) => {
    const of = facts();
    const segments = new Set<unknown>();
    for (let i = 0; i < 4; i++) {
      const id = newId();
      const { spec, plan, bytes, direct, afresh } = compiled(id, asked, of);
      expect(spec).toEqual(direct);
      expect(plan).toEqual(afresh);
      expect(bytes).toEqual(encode(afresh.segment));
      expect(JSON.stringify(plan.cgroup)).toContain(id);
      segments.add(plan.segment.ops[0]);
    }
    // What has no id in it is the same object from the second one on.
    expect(segments.size).toBeLessThan(4);
  });
});

describe('nothing that changes meets what was compiled before', () => {
  const of = facts();
  const again = (asked: Asked, facts = of) => {
    const { spec, plan, direct, afresh, bytes } = compiled(newId(), asked, facts);
    expect(spec).toEqual(direct);
    expect(plan).toEqual(afresh);
    expect(bytes).toEqual(encode(afresh.segment));
  };
  const warm = (asked: Asked) => {
    for (let i = 0; i < 3; i++) again(asked);
  };

  test('a list of the caller that was changed since', () => {
    const args = ['/bin/echo', 'one'];
    const asked = { options: { command: args } };
    warm(asked);
    args[1] = 'two';
    again(asked);
    args.push('three');
    warm(asked);
  });

  test('another root, and other things found on the host', () => {
    warm({ options: idle });
    again({ options: idle, root: '/other' });
    again({ options: idle, lookups: { ...nothingFound, kcore: true } });
    again({ options: idle, lookups: { ...nothingFound, selinux: true } });
  });

  test('other facts', () => {
    warm({ options: idle });
    again({ options: idle }, { ...of, privileged: false, uid: 1000, gid: 1000 });
  });

  test('a bundle of another text', () => {
    const bundle = (args: readonly string[]) =>
      constant({ ...defaultSpec(), process: { ...defaultSpec().process!, args } });
    warm({ options: {}, bundle: bundle(['/bin/true']) });
    again({ options: {}, bundle: bundle(['/bin/false']) });
    // One that may be changed is never remembered.
    const open = { ...defaultSpec(), process: { ...defaultSpec().process!, args: ['/bin/a'] } };
    warm({ options: {}, bundle: open });
    open.process = { ...open.process, args: ['/bin/b'] };
    again({ options: {}, bundle: open });
  });

  test('what is refused is refused each time', () => {
    const asked = { options: { command, mounts: [{ type: 'bind', source: 'x', target: 'relative' }] } } as Asked;
    for (let i = 0; i < 3; i++) expect(() => compiled(newId(), asked, of)).toThrow();
  });
});
