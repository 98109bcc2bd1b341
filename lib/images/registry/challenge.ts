/** One way to authenticate that a server offers (RFC 9110, section 11.6.1). */
export interface Challenge {
  /** In small letters: `bearer`, `basic`. */
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const headerMax = 8192;
const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const scheme = new RegExp(`^(${token})(?: +|$|(?=,))`);
const parameter = new RegExp(`^(${token})[ \\t]*=[ \\t]*(?:"((?:[^"\\\\]|\\\\.)*)"|(${token}))`);
/** What a few servers send after a scheme instead of parameters. */
const token68 = /^[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/;

/** Reads a WWW-Authenticate header, several joined by commas too; what cannot be read ends it. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let rest = header.slice(0, headerMax);
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '');
    const pair = parameter.exec(rest);
    const last = challenges.at(-1);
    if (pair !== null && last !== undefined) {
      const [all, name = '', quoted, plain] = pair;
      const value = quoted === undefined ? (plain ?? '') : quoted.replace(/\\(.)/g, '$1');
      // The first of a name counts, as one would read it.
      if (!last.parameters.has(name.toLowerCase())) last.parameters.set(name.toLowerCase(), value);
      rest = rest.slice(all.length);
      continue;
    }
    const start = scheme.exec(rest);
    if (start === null) return challenges;
    challenges.push({ scheme: start[1]!.toLowerCase(), parameters: new Map() });
    rest = rest.slice(start[0].length);
    if (!parameter.test(rest)) rest = rest.replace(token68, '');
  }
}
