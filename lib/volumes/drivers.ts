import { RuntsError } from '../errors.ts';
import type { VolumeDriver } from './driver.ts';
import { localDriver } from './local.ts';
import { findPlugin, type PluginPlaces, pluginNames } from './plugins/discovery.ts';
import { PluginDriver } from './plugins/driver.ts';

/** The drivers of volumes beside the local one: those of this program, then plugins, looked for anew each time. */
export class Drivers {
  readonly #own = new Map<string, VolumeDriver>();
  readonly #plugins = new Map<string, PluginDriver>();
  readonly #places: PluginPlaces;

  constructor(places: PluginPlaces) {
    this.#places = places;
  }

  /** A driver of this program, which others do not have. */
  add(driver: VolumeDriver): void {
    const { name } = driver;
    const known = this.#own.get(name);
    if (name === localDriver || (known !== undefined && known !== driver)) {
      throw new RuntsError('ERR_EXISTS', `there is a volume driver ${name} already`, { hint: 'Give it another name.' });
    }
    this.#own.set(name, driver);
  }

  /** ERR_NOT_FOUND where there is no such driver, ERR_DRIVER where it does not answer as one. */
  async get(name: string): Promise<VolumeDriver> {
    const own = this.#own.get(name);
    if (own !== undefined) return own;
    const found = await findPlugin(name, this.#places);
    const known = this.#plugins.get(name);
    if (known !== undefined && JSON.stringify(known.address) === JSON.stringify(found)) return known;
    const driver = await PluginDriver.open(name, found);
    this.#plugins.set(name, driver);
    return driver;
  }

  /** The names of all that can be asked. */
  async names(): Promise<readonly string[]> {
    return [...new Set([...this.#own.keys(), ...(await pluginNames(this.#places))])].sort();
  }
}
