import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { bootId } from '../host/probe.ts';
import type { MountAgain, MountedVolume } from '../host/volumes.ts';
import { deviceAt } from './files.ts';
import { forgetEnded, type Volumes } from './volumes.ts';

/** Notes where a driver has a volume, so that it is seen later whether it still has. */
export async function mountedAt(host: Host, path: string): Promise<MountedVolume> {
  return { path, device: (await deviceAt(path)) ?? '', boot: await bootId(host) };
}

/** Has drivers mount what they have not any more, by the ids that they know; gives what was mounted. */
export async function mountAgain(
  volumes: Volumes,
  host: Host,
  { container, record, mounted }: MountAgain,
): Promise<Readonly<Record<string, MountedVolume>>> {
  const boot = await bootId(host);
  const found: Record<string, MountedVolume> = {};
  for (const [name, before] of Object.entries(mounted)) {
    if (before.boot === boot && before.device === ((await deviceAt(before.path)) ?? '')) continue;
    const doing = `mount the volume ${name} again for the container ${container}`;
    found[name] = await volumes.store.withVolume(name, doing, async (held) => {
      const { options } = held.record;
      const use = held.uses.live.find((each) => each.record === record);
      const driver = await volumes.driverOf(held.record);
      if (use === undefined || driver === undefined) throw notItsOwn(name, container);
      held.letOthers();
      await forgetEnded(driver, held);
      return mountedAt(host, await driver.mount({ name, options, id: use.id }));
    });
  }
  return found;
}

const notItsOwn = (name: string, container: string): RuntsError =>
  new RuntsError('ERR_STATE', `the volume ${name} is not the one that the container ${container} was made with`, {
    hint: 'It was removed, and made anew. Remove the container, and make another one.',
  });
