import { expect, test } from 'vitest';
import { checkSpec } from '../../../lib/spec/check.ts';
import { exampleSpec } from '../../../lib/spec/example.ts';
import { featuresOf, hookNames } from '../../../lib/spec/features.ts';
import { capabilityNames, namespaceTypes } from '../../../lib/spec/names.ts';

const words = {
  mountOptions: ['rw', 'bind'],
  seccomp: { actions: ['B', 'A'], operators: [], archs: [], flags: ['F'] },
};
const document = featuresOf({ ...words, version: '1.2.3' });

test('the document has what its callers ask for, each list in order', () => {
  expect(document).toMatchObject({
    ociVersionMin: '1.0.0',
    ociVersionMax: '1.3.0',
    mountOptions: ['bind', 'rw'],
    linux: { seccomp: { enabled: true, actions: ['A', 'B'], knownFlags: ['F'], supportedFlags: ['F'] } },
    annotations: { 'runts.version': '1.2.3' },
  });
  expect(words.mountOptions).toEqual(['rw', 'bind']);
});

/** A configuration that asks for one thing more. */
const accepts = (change: object, linux: object = {}): boolean => {
  const spec = exampleSpec({ hostname: 'h', cgroupNamespace: true });
  return checkSpec({ ...spec, ...change, linux: { ...spec.linux, ...linux } }).issues === undefined;
};

test('every word in it is one that a configuration may use, and others are not', () => {
  for (const name of hookNames) expect(accepts({ hooks: { [name]: [{ path: '/x' }] } }), name).toBe(true);
  const base = exampleSpec({ hostname: 'h', cgroupNamespace: false }).linux.namespaces.map(({ type }) => type);
  const maps = {
    uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
    gidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
  };
  for (const type of document.linux.namespaces) {
    const namespaces = [...new Set([...base, type])].map((each) => ({ type: each }));
    expect(accepts({}, { namespaces, ...(type === 'user' && maps) }), type).toBe(true);
  }
  expect(accepts({}, { namespaces: [...base, 'disk'].map((type) => ({ type })) })).toBe(false);
  for (const mode of document.linux.memoryPolicy.modes.filter((each) => !/DEFAULT|LOCAL/.test(each))) {
    expect(accepts({}, { memoryPolicy: { mode, nodes: '0' } }), mode).toBe(true);
  }
  expect(accepts({}, { memoryPolicy: { mode: 'MPOL_NONE' } })).toBe(false);
  expect(document.linux.capabilities).toEqual(capabilityNames);
  expect(new Set(document.linux.namespaces)).toEqual(new Set(namespaceTypes));
});

test('the versions it names are accepted', () => {
  expect(accepts({ ociVersion: document.ociVersionMin })).toBe(true);
  expect(accepts({ ociVersion: document.ociVersionMax })).toBe(true);
});
