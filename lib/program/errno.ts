import { RuntsError } from '../errors.ts';

/** Linux errnos in the order of their numbers, from 1 on; x64 and arm64 share them. A dash is a number without a name. */
const names = (
  'EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD ' +
  'EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV ENOTDIR ' +
  'EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS ' +
  'EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS ENOTEMPTY ELOOP ' +
  '- ENOMSG EIDRM ECHRNG EL2NSYNC EL3HLT EL3RST ELNRNG EUNATCH ENOCSI ' +
  'EL2HLT EBADE EBADR EXFULL ENOANO EBADRQC EBADSLT - EBFONT ENOSTR ' +
  'ENODATA ETIME ENOSR ENONET ENOPKG EREMOTE ENOLINK EADV ESRMNT ECOMM ' +
  'EPROTO EMULTIHOP EDOTDOT EBADMSG EOVERFLOW ENOTUNIQ EBADFD EREMCHG ELIBACC ELIBBAD ' +
  'ELIBSCN ELIBMAX ELIBEXEC EILSEQ ERESTART ESTRPIPE EUSERS ENOTSOCK EDESTADDRREQ EMSGSIZE ' +
  'EPROTOTYPE ENOPROTOOPT EPROTONOSUPPORT ESOCKTNOSUPPORT EOPNOTSUPP EPFNOSUPPORT EAFNOSUPPORT EADDRINUSE ' +
  'EADDRNOTAVAIL ENETDOWN ' +
  'ENETUNREACH ENETRESET ECONNABORTED ECONNRESET ENOBUFS EISCONN ENOTCONN ESHUTDOWN ETOOMANYREFS ETIMEDOUT ' +
  'ECONNREFUSED EHOSTDOWN EHOSTUNREACH EALREADY EINPROGRESS ESTALE EUCLEAN ENOTNAM ENAVAIL EISNAM ' +
  'EREMOTEIO EDQUOT ENOMEDIUM EMEDIUMTYPE ECANCELED ENOKEY EKEYEXPIRED EKEYREVOKED EKEYREJECTED EOWNERDEAD ' +
  'ENOTRECOVERABLE ERFKILL EHWPOISON'
).split(' ');

const numbers: ReadonlyMap<string, number> = new Map([
  ...names.map((name, i) => [name, i + 1] as const).filter(([name]) => name !== '-'),
  ['EWOULDBLOCK', 11],
  ['ENOTSUP', 95],
  ['EDEADLOCK', 35],
]);

/** The number of an errno by name, aliases included; a name that Linux does not have is a bug of the caller. */
export function errnoNumber(name: string): number {
  const number = numbers.get(name);
  if (number === undefined) throw new RuntsError('ERR_INTERNAL', `${name} is not the name of an errno`);
  return number;
}

/** The name of an errno by number: `EPERM`; `errno 999` for a number without one. */
export function errnoName(number: number): string {
  const name = names[number - 1];
  return name === undefined || name === '-' ? `errno ${number}` : name;
}

const texts: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted to this user or in this namespace',
  ENOENT: 'no such file or directory',
  ESRCH: 'there is no such process',
  EINTR: 'a signal interrupted the call',
  EIO: 'the device or file system reported an input/output error',
  ENXIO: 'there is no such device or address, or nobody has the other end open',
  E2BIG: 'the arguments and the environment together are too long',
  ENOEXEC: 'the file is not in a format that the kernel can execute',
  EBADF: 'the descriptor is closed or opened for something else',
  ECHILD: 'there is no child process to wait for',
  EAGAIN: 'a resource is used up for now, perhaps by a limit on processes',
  ENOMEM: 'there is not enough memory, or a limit of the kernel is reached',
  EACCES: 'permission denied by the mode of the file or of a directory above it',
  EFAULT: 'an address is not valid',
  EBUSY: 'it is in use',
  EEXIST: 'it exists already',
  EXDEV: 'the two paths are on different mounts, or the path leads out of its root',
  ENODEV: 'the kernel has no such device or file system type',
  ENOTDIR: 'a component of the path is not a directory',
  EISDIR: 'it is a directory',
  EINVAL: 'the kernel does not accept a value or this combination of them',
  ENFILE: 'the system has too many open files',
  EMFILE: 'the process has too many open files',
  ENOTTY: 'it is not a terminal, or the device does not know this request',
  ETXTBSY: 'the program file is open for writing or in use',
  EFBIG: 'the file would become too large',
  ENOSPC: 'no space is left, or a limit on namespaces, mounts or watches is reached',
  ESPIPE: 'a pipe or socket has no position to move to',
  EROFS: 'the file system is read-only',
  EMLINK: 'there are too many links',
  EPIPE: 'the other end is closed',
  ERANGE: 'the value is out of range',
  ENAMETOOLONG: 'the path or name is too long',
  ENOSYS: 'the kernel does not have this system call, or a seccomp filter hides it',
  ENOTEMPTY: 'the directory is not empty',
  ELOOP: 'there are too many symbolic links, or a link where none is allowed',
  ENODATA: 'there is no such attribute or no data',
  EOVERFLOW: 'a value is too large, or an id has no mapping in the user namespace',
  EUSERS: 'too many user namespaces are nested',
  EOPNOTSUPP: 'the file system or socket does not support this',
  EADDRINUSE: 'the address is in use',
  ECONNRESET: 'the other end closed the connection',
  ENOTCONN: 'the socket is not connected',
  ETIMEDOUT: 'it took too long',
  ECONNREFUSED: 'nobody listens at this address',
  ESTALE: 'the file handle is stale: the file was replaced or removed',
  EDQUOT: 'the quota of disk or keyring space is used up',
  ECANCELED: 'it was cancelled',
};

/** What an errno means, as a clause without a full stop; for a rare one only its name. */
export function errnoText(errno: number | string): string {
  const name = typeof errno === 'number' ? errnoName(errno) : errno;
  return texts[name] ?? name;
}
