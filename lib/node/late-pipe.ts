import type { Handle } from '../host/host.ts';
import { orThrow } from './failure.ts';
import { type NativeHandle, native } from './native.ts';

/** What is found at our end of a pipe: that end; or all that was written to it, where there will be no more. */
export type Found = NativeHandle | Uint8Array | undefined;

/**
 * The end to write to of a pipe that whoever clones an init makes for it, and reads to its end where the init is over by then. It is
 * made here when somebody asks for its descriptor before.
 */
export class LatePipe implements Handle {
  #theirs: NativeHandle | undefined;
  #found: Found;
  #isMade = false;
  #isDropped = false;

  /** Somebody asked for it, or it was found. */
  get isMade(): boolean {
    return this.#isMade;
  }

  open(): NativeHandle {
    if (!this.#isMade) {
      const { ours, theirs } = orThrow(native.pipe(true));
      this.#theirs = theirs;
      this.find(ours);
    }
    return this.#theirs!;
  }

  find(found: Found): void {
    this.#found = found;
    this.#isMade = true;
    if (this.#isDropped) this.drop();
  }

  /** Nobody wants to know what is found, nor what will be. */
  drop(): void {
    this.#isDropped = true;
    const found = this.take();
    if (!(found instanceof Uint8Array)) found?.close();
  }

  /** Once; it is the caller's to close. */
  take(): Found {
    const found = this.#found;
    this.#found = undefined;
    return found;
  }

  close(): void {
    this.#theirs?.close();
  }
}
