import { at, type Site } from './site.ts';

/** What is missing need not be hidden. */
const missing = { unless: ['ENOENT', 'ENOTDIR'] };

/** Hides paths: `nullDevice` is a register of the host's, of which what is not a directory gets a clone (CVE-2025-31133). */
export function maskPaths(site: Site, paths: readonly string[], nullDevice: string): void {
  paths.forEach((path, i) => {
    site.ops.op('mask', { ...at(site, path), null: nullDevice }, `/linux/maskedPaths/${i}`, missing);
  });
}

/** Makes paths and what is mounted below them read-only. */
export function protectPaths(site: Site, paths: readonly string[]): void {
  paths.forEach((path, i) => {
    site.ops.op('readonly', at(site, path), `/linux/readonlyPaths/${i}`, missing);
  });
}
