import type { Handle } from '../host/host.ts';

/** A process that had ended, and was collected, before anybody here was told of it. */
export class GoneProcess implements Handle {
  close(): void {
    // There is nothing of it.
  }
}
