import { Builder } from '../program/builder.ts';
import type { Input, Warning } from './plan.ts';

/** A plan in the making: ops, and what the host opens for them. */
export interface Draft {
  /** What comes first: the way into the namespaces, and clones of whatever the container gets of the host's mounts. */
  readonly opening: Builder;
  readonly ops: Builder;
  readonly inputs: Input[];
  readonly warnings: Warning[];
}

export const newDraft = (): Draft => ({ opening: new Builder(), ops: new Builder(), inputs: [], warnings: [] });

type WithoutRegister<T> = T extends unknown ? Omit<T, 'register'> : never;

/** Asks the host for something; the register that it will be in. */
export function addInput({ ops, inputs }: Draft, stem: string, input: WithoutRegister<Input>): string {
  const register = ops.input(ops.register(stem));
  inputs.push({ ...input, register } as Input);
  return register;
}

/**
 * The /proc of the host, opened at its first use: we are in it ourselves, whichever PID namespace our children get, and
 * nothing of the container's is in between. To be closed before anything of the container can look into us.
 */
export function hostProc(ops: Builder) {
  const name = 'procfs';
  let opened = false;
  return {
    register: (): string => {
      if (!opened) ops.op('open', { dst: name, path: '/proc' }, 'default: procfs');
      opened = true;
      return name;
    },
    close: (): void => {
      if (opened) ops.op('close', { src: name }, 'default: procfs');
    },
  };
}
