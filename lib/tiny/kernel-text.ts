import * as carefully from '../spec/kernel-text.ts';
import { system } from './system.ts';

/** In the place of lib/spec/kernel-text.ts: each string of a configuration is asked about, and an expression is interpreted. */
export const unfit = (text: string): string | undefined =>
  system.isKernelText(text) ? undefined : carefully.unfit(text);
