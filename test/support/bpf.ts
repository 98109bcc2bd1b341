export { type Run, run, type SeccompData, simulate } from '../../lib/seccomp/simulate.ts';
