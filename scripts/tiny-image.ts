/** Where the engine's memory is in every process: above the program, and within what its code reaches with 32 bits. */
export const arenaAddress = 0x1000_0000;
/** Where what the file has of it is mapped, packed. */
export const packedAddress = 0x2000_0000;

const programLoad = 1;

/** An ELF program whose segment at `packedAddress`, which has nothing in the file, gets an image: the kernel maps it. */
export function withImage(program: Buffer, image: Buffer): Buffer {
  const segment = segmentAt(program, packedAddress);
  // As many bytes into a page as its address is: at the beginning of one, of the largest that there are.
  const pageBytes = Number(program.readBigUInt64LE(segment + 48));
  const at = Math.ceil(program.length / pageBytes) * pageBytes;
  const whole = Buffer.concat([program, Buffer.alloc(at - program.length), image]);
  if (whole.readBigUInt64LE(segment + 32) !== 0n) throw new Error('the segment of the image has something already');
  whole.writeBigUInt64LE(BigInt(at), segment + 8);
  whole.writeBigUInt64LE(BigInt(image.length), segment + 32);
  whole.writeBigUInt64LE(BigInt(image.length), segment + 40);
  return whole;
}

/** Where in the file the header of the segment is that begins at an address. */
function segmentAt(program: Buffer, address: number): number {
  const [at, size, count] = [Number(program.readBigUInt64LE(32)), program.readUInt16LE(54), program.readUInt16LE(56)];
  for (let header = at; header < at + size * count; header += size) {
    const isLoad = program.readUInt32LE(header) === programLoad;
    if (isLoad && program.readBigUInt64LE(header + 16) === BigInt(address)) return header;
  }
  throw new Error(`no segment begins at 0x${address.toString(16)}`);
}
