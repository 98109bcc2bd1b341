import { Builder } from '../program/builder.ts';
import type { Segment } from './plan.ts';

const origin = 'copy: files';

/** What is to be done in the root of a container that is there. */
export interface FilesWork {
  readonly op: 'unpack' | 'read_tree';
  /** A directory of the container, without a leading slash: it must be there, links inside lead where they lead inside. */
  readonly directory: string;
  /** The container has a user namespace: the last input. */
  readonly mapped: boolean;
}

/**
 * The program that copies to or from a container; inputs: the stream, the mount namespace, the user namespace. It sees the
 * files as the container does, mounts and owners too, and no link leads out: there is nothing else in that namespace.
 * `unpack` takes names from the root on, so that links lead where the container would go; `read_tree` from the directory.
 */
export function filesProgram({ op, directory, mapped }: FilesWork): Segment {
  const p = new Builder();
  const src = p.input('stream');
  const mount = p.input('mount');
  const user = mapped ? p.input('user') : undefined;
  // In there, root of the container could attach to us.
  p.op('undumpable', {}, origin);
  p.op('join', { namespaces: [mount], user }, origin);
  if (user !== undefined) p.op('become_root', {}, origin);
  p.op('new_session', {}, origin);
  const top = p.register('top');
  p.op('open', { dst: top, path: '/' }, origin);
  let root = top;
  if (directory !== '') {
    root = p.register('directory');
    p.op('open_below', { dst: root, root: top, path: directory, directory: 1 }, origin);
  }
  p.op(op, { src, root: op === 'unpack' ? top : root }, origin);
  p.op('halt', {}, origin);
  return p.segment();
}
