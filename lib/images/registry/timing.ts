/** How patient a client is. Bounds on what a hostile or dying registry can take of our time. */
export interface Timing {
  /** The longest wait for a connection, for an answer, and for the next kilobyte of one. */
  readonly stallMs: number;
  /** The longest for one small document, from request to its last byte. */
  readonly documentMs: number;
  /** The longest for a registry to check what was uploaded, and to move it to its place. */
  readonly commitMs: number;
  /** Failures in a row, without anything gained between, after which it is given up. */
  readonly attempts: number;
  /** The wait after the first failure; it doubles each time, up to the other. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
  /** Of a blob that is sent, so much is sent with one request: what the registry then has need not be sent again. */
  readonly uploadBytes: number;
  /** The longest that a registry may tell us to wait (Retry-After) before we give up instead. */
  readonly retryAfterMsMax: number;
}

export const defaultTiming: Timing = {
  stallMs: 30_000,
  documentMs: 60_000,
  commitMs: 300_000,
  attempts: 6,
  backoffMs: 500,
  backoffMsMax: 30_000,
  uploadBytes: 32 * 1024 * 1024,
  retryAfterMsMax: 60_000,
};
