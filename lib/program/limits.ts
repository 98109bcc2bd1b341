/** The bounds of a program, checked by the encoder here and by the verifier in the init (native/program/format.h). */
export const limits = {
  /** Bytes of one program: argv and env alone may reach 2 MiB (execve(2)). */
  programBytesMax: 4 * 1024 * 1024,
  opsMax: 4096,
  registersMax: 512,
  /** Handles that one message can carry: SCM_MAX_FD. */
  handlesMax: 253,
  /** Bytes of one message on the channel, before its 8-byte header. */
  messageBytesMax: 32 * 1024,
  /** Bytes of a path, without its NUL: PATH_MAX - 1. */
  pathBytesMax: 4095,
  /** Programs that a keeper has room for (op `keep`), and the bytes of one. */
  programsKeptMax: 240,
  programKeptBytesMax: 512,
} as const;

/** The wire format's constants; native/program/format.h has the same and ops.gen.h the schema hash. */
export const wire = {
  magic: 0x53544e52, // "RNTS"
  version: 1,
  headerBytes: 64,
  opBytes: 64,
  slots: 7,
  flagTrace: 1,
  flagTest: 2,
  /** In an `ins` list or a `maybe` slot: no register. */
  noRegister: 0xffff,
} as const;
