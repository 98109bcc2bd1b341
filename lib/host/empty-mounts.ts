import type { ContainerRequest } from '../plan/container.ts';
import { emptyMountsProgram, emptyTag } from '../plan/empty-mounts.ts';
import type { Facts } from '../plan/facts.ts';
import { leavesMounts } from '../plan/leave.ts';
import { namespaceFlags } from '../spec/names.ts';
import { bounded } from './bounded.ts';
import type { Handle, Host } from './host.ts';
import { startProgram } from './program.ts';
import { endSession, frameDeadlineMs } from './session.ts';

/**
 * A mount namespace of the host's with nothing in it, by which containers leave its mounts (lib/plan/leave.ts). No process is in
 * it: it is there as long as its handle is.
 */
export class EmptyMounts {
  readonly #host: Host;
  #isAskedFor = false;
  #isClosed = false;
  #making: Promise<void> | undefined;
  #handle: Handle | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  /** Undefined until somebody wants it, and where none can be had. */
  get handle(): Handle | undefined {
    return this.#handle;
  }

  /**
   * What a container can be told of it that could leave the mounts of the host. It is made at the second time that one could:
   * the first container is often the only one.
   */
  async for(request: ContainerRequest, facts: Facts): Promise<Pick<ContainerRequest, 'emptyMounts'>> {
    if (!leavesMounts({ ...request, emptyMounts: true }, facts)) return {};
    if (this.#isAskedFor && !this.#isClosed) this.#making ??= this.#make();
    this.#isAskedFor = true;
    await this.#making;
    return this.#handle === undefined ? {} : { emptyMounts: true };
  }

  /** Whoever was made by it needs it no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#making;
    this.#handle?.close();
    this.#handle = undefined;
  }

  /** Where none can be had, the mounts of the host are copied as ever. */
  async #make(): Promise<void> {
    this.#handle = await make(this.#host).catch(() => undefined);
  }
}

async function make(host: Host): Promise<Handle> {
  const deadlineMs = frameDeadlineMs;
  const program = {
    segment: emptyMountsProgram(),
    flags: namespaceFlags.mount,
    tag: emptyTag,
    doing: 'make an empty mount namespace',
  };
  const session = await startProgram(host, program, { deadlineMs });
  try {
    return await bounded(host, { deadlineMs }).files.open(`/proc/${session.pid}/ns/mnt`, 'read');
  } finally {
    await endSession(host, session, deadlineMs);
  }
}
