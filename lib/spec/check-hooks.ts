import { absolutePath, anyText, environmentEntry, integer, list, object, required } from './shape.ts';

const hooks = list(
  object({
    path: required(absolutePath),
    args: list(anyText),
    env: list(environmentEntry),
    timeout: integer(1, 0x7fff_ffff),
  }),
);

/** The `hooks` of a configuration. */
export const hooksShape = object({
  prestart: hooks,
  createRuntime: hooks,
  createContainer: hooks,
  startContainer: hooks,
  poststart: hooks,
  poststop: hooks,
});
