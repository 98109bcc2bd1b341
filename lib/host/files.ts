import { type FilesWork, filesProgram } from '../plan/files.ts';
import { namespaceFiles } from '../spec/names.ts';
import type { Cancel } from './cancel.ts';
import { differing } from './exec.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { streamProgram, type TreeReading } from './layers.ts';

export interface FilesRequest extends Omit<FilesWork, 'mapped'> {
  /** Of the container's first process. */
  readonly pid: number;
  /** Throws where `pid` is not the container's process any more: asked once its namespaces are open. */
  readonly opened: () => void;
  readonly cancel?: Cancel | undefined;
}

/** Starts an init that works on the files of a container, as the container sees them, and hands over the stream. */
export async function startFiles(host: Host, request: FilesRequest): Promise<TreeReading> {
  const { op, directory, pid, opened, cancel } = request;
  const mapped = (await differing(host, pid)).has('user');
  const inputs: Handle[] = [];
  try {
    for (const type of mapped ? (['mount', 'user'] as const) : (['mount'] as const)) {
      inputs.push(await host.files.open(`/proc/${pid}/ns/${namespaceFiles[type]}`, 'read'));
    }
    opened();
  } catch (error) {
    for (const input of inputs) input.close();
    throw refused(error, { at: 'input', doing: `open the namespaces of process ${pid}` });
  }
  return streamProgram(host, { segment: filesProgram({ op, directory, mapped }), inputs, cancel });
}
