import type { Command } from '../command.ts';
import { type Flags, isOn, textOf, textsOf } from '../parse.ts';
import { filterFlag, grammar, jsonFlag, printJson, wrongCount } from './common.ts';
import { ago, dockerTable, fillTemplate, humanSize, shortId } from './format.ts';
import type { ListedImage } from './port.ts';

const flags: Flags = {
  all: { names: ['--all', '-a'], doc: 'also images without a name, which are shown anyway' },
  digests: { names: ['--digests'], doc: 'with the digests of the names' },
  filter: filterFlag('dangling=true, reference=PATTERN, until=TIME, label=KEY[=VALUE]; may be repeated'),
  format: {
    names: ['--format'],
    value: 'TEMPLATE',
    doc: "a line for each, as in '{{.Repository}}:{{.Tag}}' or '{{json .}}'; or table, json",
  },
  noTrunc: { names: ['--no-trunc'], doc: 'whole ids' },
  quiet: { names: ['--quiet', '-q'], doc: 'only the ids' },
  json: { ...jsonFlag, doc: 'all of it as one list of JSON' },
};

/** `runts images`. */
export const images: Command = {
  synopsis: ['[OPTIONS] [REPOSITORY[:TAG]]'],
  text: 'Prints the images that are here, the newest first: a line for each name.',
  flags,
  grammar,
  async main(parsed, { world, log }) {
    const [reference, ...more] = parsed.rest;
    if (more.length > 0) throw wrongCount('images', 'at most 1 argument', parsed.rest.length);
    const verbs = await world.imageVerbs();
    for (const problem of await verbs.damaged()) log.warn(`an image cannot be read: ${problem}`);
    const found = await verbs.list(textsOf(parsed, 'filter'), reference);
    const format = textOf(parsed, 'format') ?? 'table';
    const rows = found.flatMap((image) => rowsOf(image, world.time(), isOn(parsed, 'noTrunc')));
    if (isOn(parsed, 'json')) world.print(printJson(found));
    else if (isOn(parsed, 'quiet')) world.print(unique(rows.map(({ ID }) => `${ID}\n`)).join(''));
    else if (format === 'json') world.print(rows.map(printJson).join(''));
    else if (format !== 'table') world.print(rows.map((row) => `${fillTemplate(format, row)}\n`).join(''));
    else world.print(asTable(rows, isOn(parsed, 'digests')));
    return 0;
  },
};

/** With docker's names for what a template can ask for. */
interface Row {
  readonly Repository: string;
  readonly Tag: string;
  readonly Digest: string;
  readonly ID: string;
  readonly CreatedSince: string;
  readonly CreatedAt: string;
  readonly Size: string;
}

function rowsOf(image: ListedImage, now: string, whole: boolean): Row[] {
  const names = image.names.length > 0 ? image.names : [{ repository: '<none>', tag: '<none>', digest: '<none>' }];
  return names.map(({ repository, tag, digest }) => ({
    Repository: repository,
    Tag: tag,
    Digest: digest,
    ID: whole ? image.id : shortId(image.id),
    CreatedSince: ago(image.created, now),
    CreatedAt: image.created ?? '',
    Size: humanSize(image.size),
  }));
}

function asTable(rows: readonly Row[], withDigests: boolean): string {
  const head = ['REPOSITORY', 'TAG', ...(withDigests ? ['DIGEST'] : []), 'IMAGE ID', 'CREATED', 'SIZE'];
  const lines = rows.map(({ Repository, Tag, Digest, ID, CreatedSince, Size }) => [
    Repository,
    Tag,
    ...(withDigests ? [Digest] : []),
    ID,
    CreatedSince,
    Size,
  ]);
  return dockerTable([head, ...lines]);
}

const unique = (lines: readonly string[]): string[] => [...new Set(lines)];
