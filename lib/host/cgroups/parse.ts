// What control files say, in the forms that they have (Documentation/admin-guide/cgroup-v2.rst, "Interface Files").
// Numbers are bigints: some are of 64 bits, and sums of bytes and nanoseconds outgrow a double.

export type Counters = Readonly<Record<string, bigint>>;

/** One of the two lines of pressure stall information: the share of time, in percent, and all of it in microseconds. */
export interface Pressure {
  readonly avg10: number;
  readonly avg60: number;
  readonly avg300: number;
  readonly total: bigint;
}

export interface Pressures {
  readonly some?: Pressure | undefined;
  readonly full?: Pressure | undefined;
}

/** A number; undefined for `max`, and for what is none. */
export function oneNumber(text: string | undefined): bigint | undefined {
  const word = text?.trim() ?? '';
  return /^\d+$/.test(word) ? BigInt(word) : undefined;
}

/** `KEY VALUE` in each line. */
export function flatKeyed(text: string | undefined): Counters {
  const counters: Record<string, bigint> = {};
  for (const [, key = '', value = ''] of (text ?? '').matchAll(/^(\S+) (\d+)$/gm)) counters[key] = BigInt(value);
  return counters;
}

/** `KEY SUB=VALUE SUB=VALUE` in each line; a value that is no number (`max`) is left out. */
export function nestedKeyed(text: string | undefined): Readonly<Record<string, Counters>> {
  const rows: Record<string, Counters> = {};
  for (const line of (text ?? '').split('\n')) {
    const [key = '', ...pairs] = line.split(' ');
    if (key === '') continue;
    const counters: Record<string, bigint> = {};
    for (const [, name = '', value = ''] of pairs.join(' ').matchAll(/(\S+)=(\d+)(?= |$)/g)) {
      counters[name] = BigInt(value);
    }
    rows[key] = counters;
  }
  return rows;
}

/** `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`, and `full …`; undefined where the kernel measures none. */
export function pressures(text: string | undefined): Pressures | undefined {
  const rows = [
    ...(text ?? '').matchAll(/^(some|full) avg10=(\d+\.\d+) avg60=(\d+\.\d+) avg300=(\d+\.\d+) total=(\d+)$/gm),
  ];
  if (rows.length === 0) return undefined;
  return Object.fromEntries(
    rows.map(([, kind = '', avg10, avg60, avg300, total = '0']) => [
      kind,
      { avg10: Number(avg10), avg60: Number(avg60), avg300: Number(avg300), total: BigInt(total) },
    ]),
  );
}
