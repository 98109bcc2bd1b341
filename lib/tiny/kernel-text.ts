import * as carefully from '../spec/kernel-text.ts';
import { system } from './system.ts';

export const unfit = carefully.unfit;
/** In the place of lib/spec/kernel-text.ts: each string of a configuration is asked about, and an expression is interpreted. */
export const isFit = system.isKernelText;
