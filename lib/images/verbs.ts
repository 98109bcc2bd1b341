import { createReadStream, createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { RuntsError, specError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ImagePort } from '../host/image.ts';
import { probeFacts } from '../host/probe.ts';
import type { Facts } from '../plan/facts.ts';
import { explained } from './archive.ts';
import { type CommitOptions, type Image, type ImageFilter, Images } from './images.ts';
import { parsePlatform } from './platform.ts';
import { imagePort } from './port.ts';
import { parsePruneFilters } from './prune.ts';
import { defaultDomain, familiarName, familiarReference, parseDomain, parseReference } from './reference.ts';
import { saveFile } from './save.ts';
import { showPlatform } from './source.ts';
import { systemError } from './store/system-error.ts';
import { type Direction, type OnProgress, ProgressBars, progressLines } from './transfer/progress.ts';
import { UnpackedLayers } from './unpacked.ts';

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

/** Images as the command line has them: with its host, and the facts that it found out for itself. */
export function commandLineImages(host: Host): Images {
  let facts: Promise<Facts> | undefined;
  const unpacked = new UnpackedLayers({
    host,
    facts() {
      facts ??= probeFacts(host);
      return facts;
    },
  });
  return new Images({ directory: host.environment.dataDirectory, unpacked });
}

/** Images for containers that the command line makes: whoever runs one sees how its image comes. */
export function shownImages(host: Host, show: Show): ImagePort {
  let isPulled = false;
  const onProgress = progressOf(show, 'pull');
  const port = imagePort(commandLineImages(host), {
    onProgress,
    onMissing(reference) {
      isPulled = true;
      show.print(`Unable to find image '${familiarReference(parseReference(reference))}' locally\n`);
      show.print(pullingFrom(reference));
    },
  });
  return {
    async open(image, options) {
      const opened = await port.open(image, options);
      const { digest, reference } = opened.identity;
      if (isPulled) {
        const name = familiarReference(parseReference(reference ?? image));
        show.print(`Digest: ${digest}\nStatus: Downloaded newer image for ${name}\n`);
      }
      return opened;
    },
  };
}

function pullingFrom(name: string): string {
  const { digest, tag, path } = parseReference(name);
  return `${digest ?? tag}: Pulling from ${path}\n`;
}

const isShown = ({ style }: Show): boolean => style === 'bars' || style === 'lines';

/** Images for the command line: what its commands ask for, with words in and plain data out. */
export function imageVerbs(host: Host) {
  const images = commandLineImages(host);
  return {
    async pull(
      reference: string,
      { platform, allPlatforms, show }: { platform: string | undefined; allPlatforms: boolean; show: Show },
    ) {
      if (isShown(show)) show.print(pullingFrom(reference));
      const pulled = await images.pull(reference, { platform, allPlatforms, onProgress: progressOf(show, 'pull') });
      const { isUpToDate } = pulled;
      const familiar = familiarReference(parseReference(pulled.reference));
      return { reference: pulled.reference, familiar, digest: pulled.descriptor.digest, isUpToDate };
    },

    async push(reference: string, show: Show) {
      if (isShown(show)) show.print(`The push refers to repository [${repositoryOf(reference)}]\n`);
      const pushed = await images.push(reference, { onProgress: progressOf(show, 'push') });
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

    commit: async (container: string, words: CommitOptions) => (await images.commit(container, words)).id,

    async export(container: string, path: string | undefined) {
      const archive = await images.export(container);
      if (path === undefined) return toOutput(archive);
      await saveFile(archive, path).catch((error: unknown) => {
        throw systemError(error, 'export to');
      });
    },

    changes: (container: string) => images.changes(container),

    prune: (all: boolean, filters: readonly string[]) =>
      images.prune({ all, ...parsePruneFilters(filters, new Date()) }),

    verify: () => images.verify(),

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

function repositoryOf(name: string): string {
  const { domain, path } = parseReference(name);
  return `${domain}/${path}`;
}

function progressOf({ print, style, size }: Show, direction: Direction): OnProgress | undefined {
  switch (style) {
    case 'nothing':
      return undefined;
    case 'json':
      return (progress) => print(`${JSON.stringify(progress)}\n`);
    case 'lines': {
      const line = progressLines(direction);
      return (progress) => print(line(progress));
    }
    case 'bars': {
      // A terminal of which nobody has said how large it is says 0.
      const columns = () => size().columns || 80;
      const terminal = { columns, rows: () => size().rows || 24, now: () => performance.now() };
      const bars = new ProgressBars(terminal, direction);
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
