const blockBytes = 512;
/** What the octal field of a size can say; beyond it the number is binary, as GNU tar writes it. */
const octalMax = 8 ** 11;

/** A file of an archive; its content is exactly `size` bytes. */
export interface PackedFile {
  readonly name: string;
  readonly size: number;
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/** A tar archive of files and the directories that they are in, the same bytes for the same files. */
export async function* packTar(files: AsyncIterable<PackedFile> | Iterable<PackedFile>): AsyncGenerator<Uint8Array> {
  const directories = new Set<string>();
  for await (const { name, size, content } of files) {
    for (const directory of parentsOf(name).filter((each) => !directories.has(each))) {
      directories.add(directory);
      yield header(`${directory}/`, 0, '5');
    }
    yield header(name, size, '0');
    let bytes = 0;
    for await (const chunk of content) {
      bytes += chunk.length;
      yield chunk;
    }
    // Whoever reads would take what follows for content: an archive that is cut short is better.
    if (bytes !== size) throw new Error(`${name} has ${bytes} bytes, and was to have ${size}`);
    yield Buffer.alloc((blockBytes - (size % blockBytes)) % blockBytes);
  }
  yield Buffer.alloc(2 * blockBytes);
}

function parentsOf(name: string): string[] {
  const components = name.split('/').slice(0, -1);
  return components.map((_, i) => components.slice(0, i + 1).join('/'));
}

function header(name: string, size: number, type: '0' | '5'): Buffer {
  const block = Buffer.alloc(blockBytes);
  const octal = (value: number, at: number, length: number): void =>
    void block.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
  if (Buffer.byteLength(name) > 100) throw new Error(`the name ${name} is too long for the archive`);
  block.write(name, 0, 100);
  octal(type === '5' ? 0o755 : 0o644, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  if (size < octalMax) octal(size, 124, 12);
  else {
    block[124] = 0x80;
    block.writeBigUInt64BE(BigInt(size), 128);
  }
  octal(0, 136, 12);
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
