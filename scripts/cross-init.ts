import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Builds the init for arm64 with a cross compiler, by the very rules of binding.gyp, and looks at what came out. */
function main(compiler: string | undefined): void {
  if (compiler === undefined) throw new Error('usage: cross-init COMPILER (aarch64-linux-gnu-g++)');
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const scratch = mkdtempSync(join(tmpdir(), 'runts-cross-'));
  try {
    for (const name of ['native', 'binding.gyp', 'package.json'])
      cpSync(join(root, name), join(scratch, name), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(scratch, 'node_modules'));
    const env = { ...process.env, CXX: compiler, CC: compiler, LINK: compiler };
    const run = (file: string, args: string[]): void => {
      const { status, stdout, stderr } = spawnSync(file, args, { cwd: scratch, env, encoding: 'utf8' });
      if (status !== 0) throw new Error(`${file} ${args.join(' ')} failed:\n${stdout}\n${stderr}`);
    };
    run(join(root, 'node_modules/.bin/node-gyp'), ['configure', '--arch=arm64', '--silent']);
    run('make', ['-s', '-C', 'build', 'BUILDTYPE=Release', 'runts-init']);
    report(readFileSync(join(scratch, 'build/Release/runts-init')));
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Of the ELF header: the machine (EM_AARCH64), a static PIE (ET_DYN), and no interpreter (PT_INTERP). */
function report(file: Buffer): void {
  const [type, machine] = [file.readUInt16LE(16), file.readUInt16LE(18)];
  if (machine !== 183) throw new Error(`the init is for machine ${machine}, not for arm64 (183)`);
  const [at, size, count] = [Number(file.readBigUInt64LE(32)), file.readUInt16LE(54), file.readUInt16LE(56)];
  const types = Array.from({ length: count }, (_, i) => file.readUInt32LE(at + i * size));
  if (type !== 3 || types.includes(3)) throw new Error('the init is not a static PIE');
  // 68 KiB is the limit of the x86-64 one: code for arm64 is a tenth longer.
  if (file.length >= 76 * 1024) throw new Error(`the init has ${file.length} bytes; 76 KiB is its limit`);
  console.log(`arm64 init: ${file.length} bytes, static`);
}

main(process.argv[2]);
