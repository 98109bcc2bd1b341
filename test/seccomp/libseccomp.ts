import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Architecture, actions, operators, type Rule, type SeccompProfile } from '../../lib/seccomp/profile.ts';

/** libseccomp's names for architectures; x32's is its own invention. */
export const tokens: Partial<Record<Architecture, number>> = {
  SCMP_ARCH_X86_64: 0xc000003e,
  SCMP_ARCH_X32: 0x4000003e,
  SCMP_ARCH_X86: 0x40000003,
  SCMP_ARCH_AARCH64: 0xc00000b7,
  SCMP_ARCH_ARM: 0x40000028,
};

export interface Libseccomp {
  /** The filter it makes of a profile, with the rules left out that do what the default does (it refuses those). */
  compile(profile: SeccompProfile): Uint8Array;
  /** Its number for a name on an architecture; negative where it has none. */
  resolve(names: readonly string[], architecture: Architecture): Map<string, number>;
  remove(): void;
}

/** Builds the oracle, or says why it cannot. */
export function buildLibseccomp(): Libseccomp | string {
  const directory = mkdtempSync(join(tmpdir(), 'runts-libseccomp-'));
  const oracle = join(directory, 'oracle');
  const source = fileURLToPath(new URL('oracle.c', import.meta.url));
  try {
    execFileSync('cc', ['-O1', '-Wall', '-Werror', '-o', oracle, source, '-lseccomp'], { stdio: 'pipe' });
  } catch (error) {
    rmSync(directory, { recursive: true });
    return `cannot build against libseccomp: ${String(error).split('\n')[0]}`;
  }
  return {
    compile: (profile) => execFileSync(oracle, ['export'], { input: profileLines(profile) }),
    resolve: (names, architecture) => {
      const output = execFileSync(oracle, ['resolve', String(tokens[architecture])], { input: names.join('\n') });
      const lines = output.toString().trim().split('\n');
      return new Map(lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
    },
    remove: () => rmSync(directory, { recursive: true }),
  };
}

/** What an action returns, errno and all. */
function returned(action: Rule['action'], errno = 1): number {
  return action === 'SCMP_ACT_ERRNO' || action === 'SCMP_ACT_TRACE'
    ? (actions[action].value | errno) >>> 0
    : actions[action].value;
}

function profileLines(profile: SeccompProfile): string {
  const otherwise = returned(profile.defaultAction, profile.defaultErrnoRet);
  const lines = [`default ${otherwise}`];
  for (const architecture of profile.architectures ?? []) lines.push(`arch ${tokens[architecture]}`);
  for (const rule of profile.syscalls ?? []) {
    const value = returned(rule.action, rule.errnoRet);
    if (value === otherwise) continue;
    const conditions = (rule.args ?? []).map(
      (c) => ` ${c.index} ${operators.indexOf(c.op) + 1} ${c.value} ${c.valueTwo ?? 0}`,
    );
    for (const name of rule.names) lines.push(`rule ${value} ${name}${conditions.join('')}`);
  }
  return `${lines.join('\n')}\n`;
}
