import type { Command } from '../command.ts';
import { isOn, textOf } from '../parse.ts';
import { atLeast, exactly, forEach, grammar, jsonFlag, printJson } from './common.ts';
import { ago, dockerTable, fillTemplate, humanSize, oneLine, shortId } from './format.ts';

/** `runts image inspect`. */
export const inspect: Command = {
  synopsis: ['[OPTIONS] IMAGE [IMAGE …]'],
  text: 'Prints all that is known of images, as docker does: a list of JSON.',
  flags: {
    format: {
      names: ['--format', '-f'],
      value: 'TEMPLATE',
      doc: "a line for each, as in '{{.Id}}' or '{{json .Config}}'",
    },
    json: { ...jsonFlag, doc: 'accepted: it is JSON' },
  },
  grammar,
  async main(parsed, context) {
    const { world } = context;
    const verbs = await world.imageVerbs();
    const format = textOf(parsed, 'format');
    const found: object[] = [];
    const code = await forEach(atLeast('image inspect', parsed, 1), context, async (name) => {
      found.push(await verbs.inspect(name));
    });
    if (format === undefined || format === 'json') world.print(`${JSON.stringify(found, null, 4)}\n`);
    else world.print(found.map((each) => `${fillTemplate(format, each)}\n`).join(''));
    return code;
  },
};

const createdByMax = 45;

/** `runts history`. */
export const history: Command = {
  synopsis: ['[OPTIONS] IMAGE'],
  text: 'Prints how an image was made, the newest step first.',
  flags: {
    format: { names: ['--format'], value: 'TEMPLATE', doc: "a line for each, as in '{{.CreatedBy}}' or '{{json .}}'" },
    noTrunc: { names: ['--no-trunc'], doc: 'all of each step' },
    quiet: { names: ['--quiet', '-q'], doc: 'only the ids' },
    json: { ...jsonFlag, doc: 'all of it as one list of JSON' },
  },
  grammar,
  async main(parsed, { world }) {
    const [name] = exactly('history', parsed, 1) as [string];
    const whole = isOn(parsed, 'noTrunc');
    const steps = await (await world.imageVerbs()).history(name);
    const rows = steps.map((step) => ({
      ID: step.id === undefined ? '<missing>' : whole ? step.id : shortId(step.id),
      CreatedSince: ago(step.created, world.time()),
      CreatedAt: step.created ?? '',
      CreatedBy:
        whole || step.createdBy.length <= createdByMax
          ? step.createdBy
          : `${step.createdBy.slice(0, createdByMax - 1)}…`,
      Size: humanSize(step.size),
      Comment: step.comment,
    }));
    const format = textOf(parsed, 'format');
    if (isOn(parsed, 'json')) world.print(printJson(steps));
    else if (isOn(parsed, 'quiet')) world.print(rows.map(({ ID }) => `${ID}\n`).join(''));
    else if (format !== undefined) world.print(rows.map((row) => `${fillTemplate(format, row)}\n`).join(''));
    else {
      const lines = rows.map((row) => [
        row.ID,
        row.CreatedSince,
        oneLine(row.CreatedBy),
        row.Size,
        oneLine(row.Comment),
      ]);
      world.print(dockerTable([['IMAGE', 'CREATED', 'CREATED BY', 'SIZE', 'COMMENT'], ...lines]));
    }
    return 0;
  },
};
