/**
 * npm run build:tiny [glibc]: the static `runts`, at build/tiny/runts, or in the directory that RUNTS_TINY names. The
 * engine's sources are those of one release of a package of the registry, checked against its digest; RUNTS_ENGINE names a
 * directory that has them already. It is linked with musl where there is musl-gcc, else, or where asked, with glibc.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { bundle } from './tiny-bundle.js';
import { arenaAddress, packedAddress, withImage } from './tiny-image.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const out = process.env['RUNTS_TINY'] ?? join(root, 'build', 'tiny');
const run = promisify(execFile);
const must = async (command: string, ...args: string[]): Promise<string> =>
  (await run(command, args, { cwd: root, maxBuffer: 1 << 26 })).stdout;

const engine = {
  package: 'qjsc',
  version: '0.3.0',
  digest: 'a7+cU6/IVcZbIejffdt/wZVMX6LL2MDL3HQ9Zb5Gm23G9DvBMS/z9GHFxz39bAvp2PvMOM+ypSOAyokt2DdZ2w==',
  directory: 'package/deps/quickjs_2021_03_27',
  files: ['quickjs', 'libregexp', 'libunicode', 'cutils', 'libbf'],
};

/** Where the engine's sources are. */
async function engineSources(): Promise<string> {
  const given = process.env['RUNTS_ENGINE'];
  if (given !== undefined) return given;
  const sources = join(out, 'engine');
  if (existsSync(sources)) return sources;
  const pack = ['pack', `${engine.package}@${engine.version}`, '--silent', '--pack-destination', out];
  const archive = join(out, (await must('npm', ...pack)).trim());
  const digest = createHash('sha512')
    .update(await readFile(archive))
    .digest('base64');
  if (digest !== engine.digest) throw new Error(`${archive} is not the ${engine.package} that this was made with`);
  await must('tar', '-xzf', archive, '-C', out, engine.directory);
  await rename(join(out, engine.directory), sources);
  await rm(archive);
  return sources;
}

/** Another machine's: what is compiled for it is not run here, and so has no snapshot. */
const crossed = process.argv[2] === 'arm64' && process.arch !== 'arm64';

/** How to compile C and C++ for a static program. */
function compilers(): { readonly c: string[]; readonly cxx: string[]; readonly libc: string } {
  if (crossed) return { c: ['aarch64-linux-gnu-gcc'], cxx: ['aarch64-linux-gnu-g++'], libc: 'glibc' };
  const triple = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';
  const specs = `/usr/lib/${triple}-musl/musl-gcc.specs`;
  if (process.argv[2] === 'glibc' || !existsSync(specs)) return { c: ['gcc'], cxx: ['g++'], libc: 'glibc' };
  // musl has no headers of the kernel's; what stands after them is looked at last.
  const kernel = ['-idirafter', '/usr/include', '-idirafter', `/usr/include/${triple}-gnu`];
  return { c: ['gcc', `-specs=${specs}`], cxx: ['g++', `-specs=${specs}`, ...kernel], libc: 'musl' };
}

const common = [
  '-g0',
  '-fno-asynchronous-unwind-tables',
  '-ffunction-sections',
  '-fdata-sections',
  '-fno-pie',
  '-D_GNU_SOURCE',
  '-DCONFIG_BIGNUM',
  `-DCONFIG_VERSION="${engine.version}"`,
  '-fwrapv',
  // Assertions name files: the same, wherever this is built.
  `-ffile-prefix-map=${out}=.`,
  `-ffile-prefix-map=${process.env['RUNTS_ENGINE'] ?? join(out, 'engine')}=engine`,
  `-ffile-prefix-map=${root}=.`,
];
const ours = [
  '-std=c++17',
  '-Os',
  '-fno-exceptions',
  '-fno-rtti',
  '-fno-threadsafe-statics',
  '-fstack-protector-strong',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wconversion',
  '-Wno-unused-parameter',
  '-Wno-missing-field-initializers',
];
const sources = [
  'tiny/arena',
  'tiny/fates',
  'tiny/main',
  'tiny/memory',
  'tiny/packed',
  'tiny/snapshot',
  'tiny/value',
  'tiny/system',
  'tiny/messages',
  'tiny/processes',
  'tiny/json',
  'addon/clone',
  'addon/image',
  'addon/device_filter',
];

async function compile([command = '', ...flags]: readonly string[], file: string, object: string) {
  await must(command, ...flags, '-c', file, '-o', object);
  return object;
}

/** What was compiled of the same bytes by the same words is not compiled again: the engine takes a while. */
async function compileOnce(command: readonly string[], file: string): Promise<string> {
  const digest = createHash('sha256')
    .update(command.join(' '))
    .update(await readFile(file));
  const object = join(out, `${basename(file)}-${digest.digest('hex').slice(0, 12)}.o`);
  return existsSync(object) ? object : compile(command, file, object);
}

/** A static program of these objects. */
const link = (to: string, objects: readonly string[], ...how: readonly string[]) =>
  must(c[0] as string, ...c.slice(1), '-static', '-no-pie', linking, ...how, ...objects, '-lm', '-o', to);
const linking = '-Wl,-s,--gc-sections,--build-id=none,-z,noexecstack';
const withArena = [
  // By what was linked: the snapshot names it.
  '-Wl,--build-id=sha1',
  '-Wl,--wrap=gettimeofday,--wrap=memcpy',
  `-Wl,--section-start=.arena=0x${arenaAddress.toString(16)}`,
  `-Wl,--section-start=.packed=0x${packedAddress.toString(16)}`,
];

await mkdir(out, { recursive: true });
const from = await engineSources();
const { c, cxx, libc } = compilers();
// The interpreter is to be fast; the others are small parts of what is done.
const ofEngine = (name: string): string[] => [...c, ...common, name === 'quickjs' ? '-O2' : '-Os', '-w'];
const parts = await Promise.all(engine.files.map((name) => compileOnce(ofEngine(name), join(from, `${name}.c`))));
const native = join(root, 'native');
const embedded = join(out, 'init_image.gen.h');
await must(process.execPath, join(native, 'addon/embed.cjs'), join(root, 'build/Release/runts-init'), embedded);
const flags = [...cxx, ...common, ...ours, '-isystem', from, '-I', out];
// Each allocation of the engine goes through the arena, and much is copied: they are to be as fast. What copies is not to become
// a call of itself.
const fast = ['-O2', '-fno-tree-loop-distribute-patterns'];
const flagsOf = (name: string): string[] =>
  ['tiny/arena', 'tiny/memory'].includes(name) ? [...flags, ...fast] : flags;
const objects = await Promise.all(
  sources.map((name) => compile(flagsOf(name), join(native, `${name}.cc`), join(out, `${basename(name)}.o`))),
);
const first = join(out, crossed ? 'first-arm64' : 'first');
await link(first, [...objects, ...parts], ...withArena);
if (crossed) process.stdout.write(`${first}: ${(await stat(first)).size} bytes, without a snapshot\n`);
else await finish();

/** The program makes the rest of itself. */
async function finish(): Promise<void> {
  const core = join(out, 'core.js');
  await bundle(root, core);
  // By the same engine: the two must agree about what bytecode means.
  const compiler = join(out, 'compile');
  await link(compiler, [
    await compileOnce([...c, ...common, '-w', '-I', from], join(native, 'tiny/compile.c')),
    ...parts.filter((part) => !basename(part).startsWith('quickjs.c-')),
  ]);
  const [code, image] = [join(out, 'core.bytecode'), join(out, 'snapshot')];
  await must(compiler, core, code);
  await must(first, code, image);
  const result = join(out, 'runts');
  await rm(result, { force: true }); // it may be running
  await writeFile(result, withImage(await readFile(first), await readFile(image)), { mode: 0o755 });
  // Who hands it on hands these on.
  const licenses = [join(root, 'LICENSE'), join(from, 'LICENSE')].map((path) => readFile(path, 'utf8'));
  await writeFile(join(out, 'LICENSES'), (await Promise.all(licenses)).join('\n'));
  process.stdout.write(`${result}: ${(await stat(result)).size} bytes, ${libc}\n`);
}
