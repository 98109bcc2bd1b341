import { Refused } from '../refused.ts';
import { type Bytes, bytesOf, marginBytes } from './bits.ts';

/** A stream, of which what comes next lies in one piece; the chunks that it comes in are copied, and not looked at afterwards. */
export class Input implements Bytes {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** What comes next. */
  at = marginBytes;
  #end = marginBytes;
  readonly #source: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  /** `countMax` is the most that is asked for at once. */
  constructor(source: AsyncIterable<Buffer>, countMax: number) {
    this.#source = source[Symbol.asyncIterator]();
    ({ bytes: this.bytes, view: this.view } = bytesOf(2 * countMax + 2 * marginBytes));
  }

  /** Asked before `fill`, so that what is there already awaits nothing. */
  has(count: number): boolean {
    return this.#end - this.at >= count;
  }

  /** Waits for so many bytes; false where the stream ends right here. */
  async fill(count: number): Promise<boolean> {
    this.bytes.copyWithin(marginBytes, this.at, this.#end);
    this.#end -= this.at - marginBytes;
    this.at = marginBytes;
    while (!this.has(count)) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#source.next();
        if (done !== true) this.#rest = value;
        else if (this.has(1)) throw truncated();
        else return false;
      }
      const copied = this.#rest.copy(this.bytes, this.#end, 0, this.bytes.length - marginBytes - this.#end);
      this.#rest = this.#rest.subarray(copied);
      this.#end += copied;
    }
    return true;
  }

  /** The same, where the stream must not end. */
  async need(count: number): Promise<void> {
    if (!(await this.fill(count))) throw truncated();
  }

  /** A number of so many bytes, which are there. */
  take(count: number): number {
    this.at += count;
    return this.bytes.readUIntLE(this.at - count, count);
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      if (!this.has(1)) await this.need(1);
      const skipped = Math.min(left, this.#end - this.at);
      this.at += skipped;
      left -= skipped;
    }
  }
}

const truncated = (): Refused => new Refused('the compressed data is truncated');
