import { readFileSync } from 'node:fs';
import type { Container } from '../../lib/index.ts';

/** The directory of the cgroup that a running container is in. */
export function cgroupOf({ pid }: Container): string {
  const own = /^0::(.*)$/m.exec(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))?.[1];
  if (own === undefined) throw new Error(`process ${pid} is in no cgroup`);
  return `/sys/fs/cgroup${own}`;
}

/** What a file of one value says. */
export const textOf = (cgroup: string, file: string): string => readFileSync(`${cgroup}/${file}`, 'utf8').trim();

/** A number of a file of lines `name number`: memory.events, cpu.stat. */
export function countOf(cgroup: string, file: string, name: string): number {
  const found = new RegExp(`^${name} (\\d+)$`, 'm').exec(readFileSync(`${cgroup}/${file}`, 'utf8'))?.[1];
  if (found === undefined) throw new Error(`${file} of ${cgroup} does not count ${name}`);
  return Number(found);
}
