import { RuntsError } from '../../errors.ts';
import { openCgroup } from '../cgroups/open.ts';
import type { Host } from '../host.ts';
import { operation } from './operation.ts';
import { findProcess } from './process.ts';
import { openUnlocked, theRecord } from './store.ts';

/** The processes of a container, by pid in our pid namespace. */
export function containerProcesses(host: Host, root: string, id: string): Promise<number[]> {
  return operation(host, `tell the processes of container ${id}`, (ports) => processesOf(ports, root, id));
}

async function processesOf(host: Host, root: string, id: string): Promise<number[]> {
  const record = await theRecord(host, openUnlocked(root, id));
  if (record.cgroup !== undefined) return openCgroup(host, record.cgroup).processes();
  const process = await findProcess(host, record);
  if (process === undefined) return [];
  process.close();
  const namespace = await host.files.readLink(`/proc/${record.process?.pid}/ns/pid`);
  const ours = await host.files.readLink('/proc/self/ns/pid');
  if (namespace === undefined || namespace === ours) {
    throw new RuntsError(
      'ERR_UNSUPPORTED',
      `cannot tell the processes of ${id}: it has neither a cgroup nor a pid namespace of its own`,
    );
  }
  return inNamespace(host, namespace);
}

/** Without a cgroup, those of its pid namespace. */
async function inNamespace(host: Host, namespace: string): Promise<number[]> {
  const pids = (await host.files.list('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const links = await Promise.all(pids.map((pid) => host.files.readLink(`/proc/${pid}/ns/pid`).catch(() => undefined)));
  return pids.filter((_, i) => links[i] === namespace);
}
