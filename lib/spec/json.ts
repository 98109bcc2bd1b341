import { RuntsError } from '../errors.ts';
import { pointerOf } from './pointer.ts';

/** Nesting beyond this is an attack on the stack, not a configuration. */
export const jsonDepthMax = 128;
/** In characters; whoever reads the file bounds its bytes with the same number. */
export const jsonSizeMax = 16 * 1024 * 1024;
/** The longest number: a double written in full has fewer digits than this. */
const numberMax = 512;

const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
};

const numberGrammar = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
const loneSurrogate = /[\uD800-\uDFFF]/u;

class Reader {
  private at = 0;
  private readonly text: string;
  private readonly what: string;
  /** Where in the document we are: the keys that lead here. */
  private readonly keys: (string | number)[] = [];

  constructor(text: string, what: string) {
    this.text = text;
    this.what = what;
  }

  document(): unknown {
    if (this.text.length > jsonSizeMax) this.fail(`more than ${jsonSizeMax} characters`, 0);
    this.space();
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) this.fail(`unexpected ${this.here()} after the end of the document`);
    return value;
  }

  private value(depth: number): unknown {
    switch (this.text.charCodeAt(this.at)) {
      case 0x7b: // {
        return this.object(depth + 1);
      case 0x5b: // [
        return this.array(depth + 1);
      case 0x22: // "
        return this.string();
      case 0x74: // t
        return this.word('true', true);
      case 0x66: // f
        return this.word('false', false);
      case 0x6e: // n
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  private object(depth: number): Record<string, unknown> {
    if (depth > jsonDepthMax) this.fail(`more than ${jsonDepthMax} levels deep`);
    // Without a prototype "__proto__" is a key like any other.
    const result = Object.create(null) as Record<string, unknown>;
    this.at++;
    this.space();
    if (this.take('}')) return result;
    for (;;) {
      if (this.text[this.at] !== '"') this.fail(`expected a key in double quotes but found ${this.here()}`);
      const start = this.at;
      const key = this.string();
      // Of two readers one takes the first and one the last: what was checked would not be what is used.
      if (key in result) this.fail(`the key ${JSON.stringify(key)} stands twice`, start);
      this.space();
      if (!this.take(':')) this.fail(`expected ":" but found ${this.here()}`);
      this.space();
      this.keys.push(key);
      result[key] = this.value(depth);
      this.keys.pop();
      this.space();
      if (this.take('}')) return result;
      if (!this.take(',')) this.fail(`expected "," or "}" but found ${this.here()}`);
      this.space();
    }
  }

  private array(depth: number): unknown[] {
    if (depth > jsonDepthMax) this.fail(`more than ${jsonDepthMax} levels deep`);
    const result: unknown[] = [];
    this.at++;
    this.space();
    if (this.take(']')) return result;
    for (;;) {
      this.keys.push(result.length);
      result.push(this.value(depth));
      this.keys.pop();
      this.space();
      if (this.take(']')) return result;
      if (!this.take(',')) this.fail(`expected "," or "]" but found ${this.here()}`);
      this.space();
    }
  }

  private string(): string {
    const { text } = this;
    const start = this.at++;
    let result = '';
    let from = this.at;
    let surrogates = false;
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code === 0x22) break;
      if (code === 0x5c) {
        result += text.slice(from, this.at) + this.escape();
        from = this.at;
        // Only an escape can be half of a pair whose other half stands outside of this slice.
        surrogates = true;
      } else if (code >= 0x20) {
        if (code >= 0xd800 && code <= 0xdfff) surrogates = true;
        this.at++;
      } else if (code < 0x20) {
        this.fail(`a control character (${code}) in a string must be written as an escape`);
      } else this.fail('a string that does not end', start); // NaN: past the end
    }
    result += text.slice(from, this.at++);
    if (surrogates && loneSurrogate.test(result)) this.fail('half of a surrogate pair, which is no character', start);
    return result;
  }

  private escape(): string {
    const letter = this.text[this.at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9A-Fa-f]{4}$/.test(digits)) this.fail('expected four hexadecimal digits after \\u');
      const code = Number.parseInt(digits, 16);
      // The kernel ends a string there: what was checked would not be what is used.
      if (code === 0) this.fail('a NUL character in a string');
      this.at += 6;
      return String.fromCharCode(code);
    }
    const character = escapes[letter];
    if (character === undefined) this.fail(`unknown escape "\\${letter}"`);
    this.at += 2;
    return character as string;
  }

  private number(): number | bigint {
    numberGrammar.lastIndex = this.at;
    const match = numberGrammar.exec(this.text);
    if (match === null) this.fail(`expected a value but found ${this.here()}`);
    const [digits, fraction, exponent] = match as RegExpExecArray;
    if (digits.length > numberMax) this.fail(`a number of more than ${numberMax} characters`);
    const value = Number(digits);
    if (!Number.isFinite(value)) this.fail(`the number ${digits.slice(0, 40)} is too large`);
    this.at += digits.length;
    const whole = fraction === undefined && exponent === undefined;
    return whole && !Number.isSafeInteger(value) ? BigInt(digits) : value;
  }

  private word<T>(word: string, value: T): T {
    if (!this.text.startsWith(word, this.at)) this.fail(`expected a value but found ${this.here()}`);
    this.at += word.length;
    return value;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private take(character: string): boolean {
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  /** The next thing as a message shows it. */
  private here(): string {
    if (this.at >= this.text.length) return 'the end';
    const code = this.text.codePointAt(this.at)!;
    if (code === 0xfeff) return 'a byte order mark';
    const word = /[A-Za-z0-9_.+-]{1,20}/y;
    word.lastIndex = this.at;
    return JSON.stringify(word.exec(this.text)?.[0] ?? String.fromCodePoint(code));
  }

  private fail(problem: string, at = this.at): never {
    const before = this.text.slice(0, at);
    const line = before.split('\n').length;
    const column = at - before.lastIndexOf('\n');
    const inside = this.keys.length === 0 ? '' : `, in ${pointerOf(...this.keys)}`;
    throw new RuntsError('ERR_SPEC', `${this.what}: line ${line}, column ${column}${inside}: ${problem}`);
  }
}

/**
 * The value of a JSON document, strictly, or an ERR_SPEC that says line and column; `what` names the file in it.
 *
 * Differs from JSON.parse where a configuration needs it: an integer that a double cannot hold exactly comes back as a
 * bigint; objects have no prototype; NUL characters and lone surrogates in strings are refused, and keys that stand twice;
 * size and depth are bounded.
 */
export function parseJson(text: string, what = 'JSON'): unknown {
  return new Reader(text, what).document();
}

/**
 * A value as JSON, with every bigint as the integer that it is: what `parseJson` read comes out as it went in. Like
 * JSON.stringify, but for what that would drop silently: functions, symbols and numbers that are none are an error.
 */
export function stringifyJson(value: unknown, indent = 0): string {
  return written(value, indent, '\n', 1);
}

function written(value: unknown, indent: number, line: string, depth: number): string {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return JSON.stringify(value);
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'object') throw new RuntsError('ERR_INTERNAL', `cannot write as JSON: ${String(value)}`);
  if (depth > jsonDepthMax)
    throw new RuntsError('ERR_INTERNAL', `cannot write as JSON: more than ${jsonDepthMax} levels`);
  const inner = line + ' '.repeat(indent);
  const item = (each: unknown): string => written(each, indent, inner, depth + 1);
  const record = value as Readonly<Record<string, unknown>>;
  const items = Array.isArray(value)
    ? value.map((each: unknown) => item(each === undefined ? null : each))
    : Object.keys(record)
        .filter((key) => record[key] !== undefined)
        .map((key) => `${JSON.stringify(key)}:${indent > 0 ? ' ' : ''}${item(record[key])}`);
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}'];
  if (items.length === 0) return open + close;
  return indent > 0 ? open + inner + items.join(`,${inner}`) + line + close : open + items.join(',') + close;
}

/** A value without the members of its objects that are null: to most readers of configurations these are not given. */
export function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) if (member !== null) kept[key] = withoutNulls(member);
  return kept;
}
