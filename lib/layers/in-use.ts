import { readdir } from 'node:fs/promises';
import { readContainerFile } from './container-file.ts';

/** The names of the layers that containers use, by what each has noted in its directory. */
export async function layersInUse(containers: string): Promise<ReadonlySet<string>> {
  const ids = await readdir(containers).catch(() => []);
  const notes = await Promise.all(ids.map((id) => readContainerFile(`${containers}/${id}`)));
  return new Set(notes.flatMap((note) => note?.layers ?? []));
}
