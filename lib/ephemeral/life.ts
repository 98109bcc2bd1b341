import { RuntsError } from '../errors.ts';
import { startHeir } from '../host/heir.ts';
import type { Handle, Host } from '../host/host.ts';
import type { Lifetime } from '../host/lifetime.ts';
import { frameDeadlineMs } from '../host/session.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import { nodeHeir } from '../node/heir.ts';
import { type Made, Place, type Settings } from './place.ts';

interface Begun {
  readonly locked: Handle;
  readonly endHeir: () => Promise<void>;
}

/** How long what an ephemeral runtime makes stays: until it is disposed, or its process ends, by whatever means. */
export class Life implements Lifetime {
  readonly id: string;
  readonly #host: Host;
  readonly #settings: Settings;
  readonly #place: Place;
  #begun: Promise<Begun> | undefined;
  #isOver = false;

  constructor(host: Host, settings: Settings) {
    this.id = settings.id;
    this.#host = host;
    this.#settings = settings;
    this.#place = new Place(settings.root, settings.id);
  }

  async begin(): Promise<void> {
    if (this.#isOver) {
      throw new RuntsError('ERR_STATE', 'cannot make anything: what its runtime has made is being removed', {
        hint: 'It was disposed. Wait for what is being done by it before that, or make another one.',
      });
    }
    this.#begun ??= this.#begin().catch((error: unknown) => {
      this.#begun = undefined;
      throw error;
    });
    await this.#begun;
  }

  noteBlob(digest: string): Promise<void> {
    return this.#place.noteBlob(digest);
  }

  /** Once it has begun. */
  noteContainer(id: string): void {
    this.#place.noteContainer(id);
  }

  /** Ends it: `reap` removes what was made. Where that fails, what is left is tried again when this process ends. */
  async end(reap: (made: Made) => Promise<void>): Promise<void> {
    this.#isOver = true;
    const begun = await this.#begun?.catch(() => undefined);
    this.#begun = undefined;
    if (begun === undefined) return;
    await reap(await this.#place.made());
    await this.#place.remove();
    begun.locked.close();
    await begun.endHeir();
  }

  /** The heir comes first: it does not mind that there is nothing, and nobody else would remove what there is. */
  async #begin(): Promise<Begun> {
    const undo = new Undo();
    try {
      const heir = nodeHeir('reap.js', JSON.stringify(this.#settings));
      const endHeir = await startHeir(this.#host, heir, { deadlineMs: frameDeadlineMs });
      undo.add(endHeir);
      return { locked: await this.#place.make(this.#host, this.#settings), endHeir };
    } catch (error) {
      throw withReleaseErrors(error, await undo.run());
    }
  }
}
