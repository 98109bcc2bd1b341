/** A path as proc_pid_mountinfo(5) writes it, where blanks and backslashes are octal numbers. Few have any. */
export const unescaped = (path: string): string =>
  path.includes('\\')
    ? path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
    : path;
