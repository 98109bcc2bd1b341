import { RuntsError } from '../errors.ts';

type Release = () => unknown;

/** What has been acquired, released in reverse order: as a value that can be handed on. */
export class Undo {
  #releases: Release[] = [];
  #running: Promise<readonly unknown[]> | undefined;

  /** Whether the release has begun. */
  get begun(): boolean {
    return this.#running !== undefined;
  }

  add(release: Release): void {
    if (this.begun) throw new RuntsError('ERR_INTERNAL', 'something was acquired while everything is being released');
    this.#releases.push(release);
  }

  /** Releases all, once, however often it is called; gives what failed. A release that fails does not stop the others. */
  run(): Promise<readonly unknown[]> {
    this.#running ??= this.#release();
    return this.#running;
  }

  /** Forgets everything: it belongs to somebody else now. */
  dismiss(): void {
    this.#releases = [];
  }

  async #release(): Promise<readonly unknown[]> {
    const errors: unknown[] = [];
    for (let release = this.#releases.pop(); release !== undefined; release = this.#releases.pop()) {
      try {
        await release();
      } catch (error) {
        errors.push(error);
      }
    }
    return errors;
  }
}

/** The error of some work, with those of the release after it beside its cause: none of them is lost. */
export function withReleaseErrors(error: unknown, releaseErrors: readonly unknown[]): unknown {
  if (releaseErrors.length === 0) return error;
  const notes = releaseErrors.map((e) => `\n  and releasing what was made failed: ${messageOf(e)}`).join('');
  const known = RuntsError.is(error) ? error : undefined;
  return new RuntsError(known?.code ?? 'ERR_INTERNAL', messageOf(error) + notes, {
    origin: known?.origin,
    hint: known?.hint,
    failure: known?.failure,
    issues: known?.issues,
    exit: known?.exit,
    cause: [error, ...releaseErrors],
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
