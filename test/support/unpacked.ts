import fs from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { LayerSource } from '../../lib/layers/extract.ts';
import { layer } from './archives.ts';
import { type UnpackOptions, unpackLayers } from './reference/unpack.ts';

export const isRoot = process.getuid?.() === 0;

/** A private directory that goes when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'runts-test-'));
  onTestFinished(async () => {
    openUp(path);
    await rm(path, { recursive: true, force: true });
  });
  return path;
}

/** An ordinary user cannot remove what is in a directory that they may not write to. */
function openUp(path: string): void {
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory()) return;
  fs.chmodSync(path, 0o700);
  for (const name of fs.readdirSync(path)) openUp(join(path, name));
}

/** Unpacks layers, given as tar archives, into a new directory; owners are recorded, not given. */
export async function unpack(layers: readonly (Buffer | LayerSource)[], options: Partial<UnpackOptions> = {}) {
  const outside = await temporaryDirectory();
  const root = join(outside, 'root');
  fs.mkdirSync(root, { mode: 0o700 });
  const sources = layers.map((each) => (Buffer.isBuffer(each) ? layer(each) : each));
  const attempt = unpackLayers({ layers: sources }, root, { asRoot: false, ...options });
  return { outside, root, attempt };
}

/** The tree as text: path, type, mode, and a file's content or a link's target. */
export function look(root: string, below = ''): string[] {
  const lines: string[] = [];
  for (const name of fs.readdirSync(join(root, below), { encoding: 'utf8' }).sort()) {
    const path = below === '' ? name : `${below}/${name}`;
    const stats = fs.lstatSync(join(root, path));
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isDirectory()) lines.push(`${path}/ ${mode}`, ...look(root, path));
    else if (stats.isSymbolicLink()) lines.push(`${path} -> ${fs.readlinkSync(join(root, path))}`);
    else lines.push(`${path} ${mode} ${fs.readFileSync(join(root, path), 'utf8')}`);
  }
  return lines;
}
