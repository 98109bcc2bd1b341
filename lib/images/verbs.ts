import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { RuntsError, specError } from '../errors.ts';
import { explained } from './archive.ts';
import { type Image, type ImageFilter, Images } from './images.ts';
import { parsePlatform } from './platform.ts';
import { parsePruneFilters } from './prune.ts';
import { defaultDomain, familiarName, parseDomain, parseReference } from './reference.ts';
import { showPlatform } from './source.ts';
import { type OnProgress, ProgressBars, progressLines } from './transfer/progress.ts';

interface Show {
  readonly print: (text: string) => void;
  readonly style: 'bars' | 'lines' | 'json' | 'nothing';
  readonly size: () => { readonly columns: number; readonly rows: number };
}

interface ImportWords {
  readonly reference: string | undefined;
  readonly changes: readonly string[];
  readonly message: string | undefined;
  readonly platform: string | undefined;
}

const formats = ['docker-archive', 'oci-archive', 'oci-dir'] as const;

/** Images for the command line: what its commands ask for, with words in and plain data out. */
export function imageVerbs(directory: string) {
  const images = new Images({ directory });
  return {
    async pull(
      reference: string,
      { platform, allPlatforms, show }: { platform: string | undefined; allPlatforms: boolean; show: Show },
    ) {
      const pulled = await images.pull(reference, { platform, allPlatforms, onProgress: progressOf(show) });
      return { reference: pulled.reference, digest: pulled.descriptor.digest, isUpToDate: pulled.isUpToDate };
    },

    async push(reference: string, show: Show) {
      const pushed = await images.push(reference, { onProgress: progressOf(show) });
      return { reference: pushed.reference, digest: pushed.descriptor.digest, size: pushed.descriptor.size };
    },

    async tagsOf(repository: string) {
      const { domain, path } = parseReference(repository);
      const all = (await images.list()).flatMap(({ references }) => references);
      return all.filter((name) => {
        const parsed = parseReference(name);
        return parsed.domain === domain && parsed.path === path && parsed.tag !== undefined;
      });
    },

    list: async (filters: readonly string[], reference: string | undefined) =>
      (await images.list({ ...parseFilters(filters), ...(reference !== undefined && { reference }) })).map(listed),

    damaged: () => images.damaged(),
    inspect: (reference: string) => images.inspect(reference),
    history: (reference: string) => images.history(reference),
    tag: (source: string, name: string) => images.tag(source, name),
    remove: (reference: string, force: boolean) => images.remove(reference, { force }),

    load: async (path: string | undefined) =>
      (await images.load(path ?? createReadStream('', { fd: 0, autoClose: false }))).map(listed),

    async save(references: readonly string[], path: string | undefined, text: string) {
      const format = formats.find((each) => each === text);
      if (format === undefined) throw new RuntsError('ERR_SPEC', `there is no format ${text}`);
      if (path !== undefined) return images.saveTo(references, path, { format });
      if (format === 'oci-dir') throw new RuntsError('ERR_SPEC', 'a directory is saved with --output');
      return toOutput(await images.save(references, format));
    },

    async import(path: string | undefined, words: ImportWords) {
      const { platform, ...options } = words;
      const from = path ?? createReadStream('', { fd: 0, autoClose: false });
      const wanted = platform === undefined ? undefined : parsePlatform(platform);
      return (await images.import(from, { ...options, platform: wanted })).id;
    },

    prune: (all: boolean, filters: readonly string[]) =>
      images.prune({ all, ...parsePruneFilters(filters, new Date()) }),

    login: (domain: string | undefined, username: string, password: string) =>
      images.login(registryOf(domain), { username, password }),

    async logout(domain: string | undefined) {
      const registry = registryOf(domain);
      return { domain: registry, isGone: await images.logout(registry) };
    },
  };
}

const registryOf = (domain: string | undefined): string => (domain === undefined ? defaultDomain : parseDomain(domain));

async function toOutput(stream: NodeJS.ReadableStream): Promise<void> {
  try {
    await pipeline(stream, createWriteStream('', { fd: 1, autoClose: false }));
  } catch (error) {
    // Whoever reads has had enough.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw explained(error, 'to the standard output');
  }
}

function progressOf({ print, style, size }: Show): OnProgress | undefined {
  switch (style) {
    case 'nothing':
      return undefined;
    case 'json':
      return (progress) => print(`${JSON.stringify(progress)}\n`);
    case 'lines': {
      const line = progressLines();
      return (progress) => print(line(progress));
    }
    case 'bars': {
      // A terminal of which nobody has said how large it is says 0.
      const columns = () => size().columns || 80;
      const bars = new ProgressBars({ columns, rows: () => size().rows || 24, now: () => performance.now() });
      return (progress) => print(bars.update(progress));
    }
  }
}

function listed({ config, platform, created, references, ...image }: Image) {
  const names = references.map((reference) => {
    const { domain, path, tag = '<none>', digest } = parseReference(reference);
    return { repository: familiarName({ domain, path }), tag, digest: digest ?? image.digest };
  });
  const { id, digest, size, containers } = image;
  return {
    id,
    digest,
    references,
    names,
    size,
    created: created?.toISOString(),
    platform: showPlatform(platform),
    labels: config.Labels ?? {},
    containers,
  };
}

/** What `images --filter` takes beside the filters of `prune`: `dangling=true` and `reference=PATTERN`. */
function parseFilters(filters: readonly string[]): ImageFilter {
  const others: string[] = [];
  let found: ImageFilter = {};
  for (const filter of filters) {
    const [, key, value = ''] = /^(dangling|reference|before)=(.*)$/.exec(filter) ?? [];
    if (key === 'reference') found = { ...found, reference: value };
    else if (key === 'dangling') found = { ...found, dangling: truth(filter, value) };
    else others.push(filter);
  }
  return { ...found, ...parsePruneFilters(others, new Date()) };
}

function truth(filter: string, value: string): boolean {
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw specError('invalid filter', [{ path: filter, message: 'must be true or false' }]);
}
