import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { commands } from '../../../lib/cli/commands.ts';
import { globalFlags } from '../../../lib/cli/globals.ts';
import { commandHelp, generalHelp } from '../../../lib/cli/help.ts';
import { commandPage, everyCommand, generalPage } from '../../../lib/cli/manual.ts';
import type { Flag, Flags } from '../../../lib/cli/parse.ts';

const all = await everyCommand();
const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');

/** The part of docs/cli.md below a heading. */
function section(heading: string): string {
  const start = page.indexOf(`\n## ${heading}\n`);
  expect(start, `docs/cli.md has a section ${heading}`).toBeGreaterThan(0);
  const end = page.indexOf('\n## ', start + 1);
  return page.slice(start, end < 0 ? undefined : end);
}

/** An option as the page has it. */
const row = ({ names, value, doc }: Flag): string => {
  const written = names.map((name) => `\`${name}\``).join(', ') + (value === undefined ? '' : ` *${value}*`);
  return `| ${written.replace(/\|/g, '\\|')} | ${doc.replace(/\|/g, '\\|')} |`;
};
const rows = (flags: Flags): string[] => Object.values(flags).map(row);

describe('docs/cli.md', () => {
  test('has the options before the command, as they are', () => {
    const text = section('Global options');
    expect(rows(globalFlags).filter((line) => !text.includes(line))).toEqual([]);
  });

  test.each(all)('has the command $verb: how it is written, and each of its options', ({ verb, command }) => {
    const text = section(verb);
    for (const form of command.synopsis) expect(text).toContain(`runts ${verb}${form === '' ? '' : ` ${form}`}\n`);
    const expected = rows(command.flags);
    expect(expected.filter((line) => !text.includes(line))).toEqual([]);
    expect([...text.matchAll(/^\| `-/gm)]).toHaveLength(expected.length);
  });
});

test('--help has every command, and the options before it', () => {
  const help = generalHelp('runts');
  expect(help.split('\n').slice(0, 2).join('\n')).toMatch(/^NAME:\n {3}runts - Open Container Initiative runtime/);
  for (const verb of Object.keys(commands)) expect(help).toMatch(new RegExp(`^ {2}${verb} +\\S`, 'm'));
  for (const { names } of Object.values(globalFlags)) for (const name of names) expect(help).toContain(name);
});

test.each(all)('the help and the manual page of $verb have every option', (described) => {
  const { verb, doc, command } = described;
  const help = commandHelp('runts', verb, doc, command);
  const man = commandPage('runts', '1.0.0', described);
  expect(help).toMatch(new RegExp(`^NAME:\\n {3}runts ${verb} - `));
  expect(man).toContain(`.TH "RUNTS\\-${verb.toUpperCase()}" 1`);
  for (const { names } of [...Object.values(command.flags), ...Object.values(command.otherFlags?.flags ?? {})]) {
    for (const name of names) {
      expect(help).toContain(name);
      expect(man).toContain(`\\fB${name.replace(/-/g, '\\-')}\\fR`);
    }
  }
});

test('no line of a manual page is a request by accident', () => {
  const pages = [generalPage('runts', '1.0.0', all), ...all.map((each) => commandPage('runts', '1.0.0', each))];
  for (const text of pages) {
    for (const line of text.split('\n').filter((each) => /^['.]/.test(each))) {
      expect(line).toMatch(/^\.(TH|SH|TP|PP|br)\b/);
    }
  }
});

test('within a command no two options have one name', () => {
  for (const { verb, command } of all) {
    const names = Object.values(command.flags).flatMap((flag) => flag.names);
    expect(new Set(names).size, verb).toBe(names.length);
  }
});

/** Each option of runc 1.3 and of crun, by command: a caller of either is understood. */
const known: Readonly<Record<string, string>> = {
  create:
    '--bundle -b --console-socket --pidfd-socket --pid-file --no-pivot --no-new-keyring --preserve-fds --config -f --no-subreaper',
  run: '--bundle -b --console-socket --pidfd-socket --detach -d --keep --pid-file --no-subreaper --no-pivot --no-new-keyring --preserve-fds --config -f',
  exec: '--console-socket --pidfd-socket --cwd --env -e --tty -t --user -u --additional-gids -g --process -p --detach -d --pid-file --process-label --apparmor --no-new-privs --cap -c --preserve-fds --cgroup --ignore-paused --no-subreaper',
  kill: '--all -a --regex -r',
  delete: '--force -f --regex -r',
  list: '--format -f --quiet -q',
  ps: '--format -f',
  update:
    '--resources -r --blkio-weight --cpu-period --cpu-quota --cpu-burst --cpu-rt-period --cpu-rt-runtime --cpu-share --cpuset-cpus --cpuset-mems --cpu-idle --kernel-memory --kernel-memory-tcp --memory --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema',
  events: '--interval --stats',
  spec: '--bundle -b --rootless --file -f',
  checkpoint:
    '--image-path --work-path --parent-path --leave-running --tcp-established --tcp-skip-in-flight --link-remap --ext-unix-sk --shell-job --lazy-pages --status-fd --page-server --file-locks --pre-dump --manage-cgroups-mode --empty-ns --auto-dedup',
  restore:
    '--console-socket --image-path --work-path --tcp-established --ext-unix-sk --shell-job --file-locks --manage-cgroups-mode --bundle -b --detach -d --pid-file --no-subreaper --no-pivot --empty-ns --auto-dedup --lazy-pages --lsm-profile --lsm-mount-context',
};

test.each(Object.entries(known))('%s knows the options of runc and crun', (verb, names) => {
  const flags = all.find((each) => each.verb === verb)?.command.flags ?? {};
  const ours = Object.values(flags).flatMap((flag) => flag.names);
  expect(names.split(' ').filter((name) => !ours.includes(name))).toEqual([]);
});

test('the options before the command are those of runc and crun', () => {
  const names =
    '--root --log --log-format --log-level --debug --systemd-cgroup --cgroup-manager --rootless --criu --version -v --help -h';
  const ours = Object.values(globalFlags).flatMap((flag) => flag.names);
  expect(names.split(' ').filter((name) => !ours.includes(name))).toEqual([]);
});
