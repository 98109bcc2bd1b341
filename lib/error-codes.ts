/** What an error of this code means to the programs at our edges; docs/errors.md says what to do about each. */
export interface CodeRow {
  /** One sentence: when this code is used. */
  readonly meaning: string;
  /** Status of an Engine API answer. */
  readonly http: number;
  /** Exit code of the command line, as docker run has them: 125 the runtime, 126 not executable, 127 not found. */
  readonly exit: number;
}

/** The closed set of codes. Append only; docs/errors.md has a section for each, and a test keeps it so. */
export const errorCodes = {
  ERR_SPEC: {
    meaning: 'The options, configuration or command line ask for something malformed.',
    http: 400,
    exit: 125,
  },
  ERR_UNSUPPORTED: { meaning: 'This host or this version cannot do what was asked.', http: 501, exit: 125 },
  ERR_SETUP: { meaning: 'The kernel refused a step of making the container.', http: 500, exit: 125 },
  ERR_EXEC: { meaning: 'The command was not found (exit code 127) or cannot be executed (126).', http: 400, exit: 127 },
  ERR_EXIT: { meaning: 'The command ran and failed: a non-zero exit code, or a signal.', http: 500, exit: 1 },
  ERR_STATE: { meaning: 'The container is not in a state that allows this.', http: 409, exit: 125 },
  ERR_EXISTS: { meaning: 'Something of this name exists already.', http: 409, exit: 125 },
  ERR_NOT_FOUND: { meaning: 'Nothing of this name exists.', http: 404, exit: 125 },
  ERR_NOT_READY: {
    meaning: 'The container ended, or its readiness condition failed, before it was ready.',
    http: 500,
    exit: 125,
  },
  ERR_TIMEOUT: { meaning: 'The time allowed for this ran out.', http: 504, exit: 125 },
  ERR_CANCELED: { meaning: 'An AbortSignal, or the disposal of the owner, ended this.', http: 499, exit: 125 },
  ERR_IMAGE: { meaning: 'An image or archive is damaged, hostile, or not one.', http: 400, exit: 125 },
  ERR_REGISTRY: { meaning: 'A registry refused, or answered what it must not.', http: 502, exit: 125 },
  ERR_DRIVER: { meaning: 'A volume, network or graph driver failed.', http: 500, exit: 125 },
  ERR_INTERNAL: { meaning: 'A bug in runts: please report it.', http: 500, exit: 125 },
} as const satisfies Record<string, CodeRow>;

/** The code of a RuntsError, of a closed set: docs/errors.md has the cause and the cure of each. */
export type ErrorCode = keyof typeof errorCodes;
