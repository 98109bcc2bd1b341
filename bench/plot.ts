import { withUnit } from './format.ts';
import type { MeasuredRow, MeasuredSubject } from './row.ts';

const width = 760;
const barLeft = 210;
const barRight = 640;
const lineHeight = 24;
const titleHeight = 34;

const style = `
  text { font: 13px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .value { fill: #59636e }
  .peer { fill: #afb8c1 }
  .runts { fill: #0969da }
  .limit { fill: #57ab5a }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .value { fill: #9198a1 }
    .peer { fill: #57606a }
    .runts { fill: #4493f8 }
    .limit { fill: #3fb950 }
  }`;

/** Bars of medians, one group for each row, each with a scale of its own. An SVG that fits light and dark pages. */
export function plot(rows: readonly MeasuredRow[]): string {
  let y = 8;
  const parts: string[] = [];
  for (const row of rows) {
    const shown = row.subjects.filter(({ summary }) => summary !== undefined);
    if (shown.length === 0) continue;
    const most = Math.max(...shown.map((subject) => subject.summary!.median));
    parts.push(`<text class="title" x="0" y="${y + 20}">${escaped(row.title.replaceAll('`', ''))}</text>`);
    y += titleHeight;
    for (const subject of shown) {
      parts.push(bar(subject, row, y, most));
      y += lineHeight;
    }
    y += 12;
  }
  const label = rows.map(({ title }) => title.replaceAll('`', '')).join('; ');
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" role="img" aria-label="${escaped(label)}">
<style>${style}
</style>
${parts.join('\n')}
</svg>
`;
}

function bar({ name, summary }: MeasuredSubject, { unit }: MeasuredRow, y: number, most: number): string {
  const length = Math.max(2, ((barRight - barLeft) * summary!.median) / most);
  const middle = y + 15;
  return [
    `<text x="${barLeft - 8}" y="${middle}" text-anchor="end">${escaped(name)}</text>`,
    `<rect class="${kindOf(name)}" x="${barLeft}" y="${y + 3}" width="${length.toFixed(1)}" height="${lineHeight - 8}" rx="2"/>`,
    `<text class="value" x="${(barLeft + length + 8).toFixed(1)}" y="${middle}">${withUnit(summary!.median, unit)}</text>`,
  ].join('');
}

function kindOf(name: string): 'runts' | 'limit' | 'peer' {
  if (name.startsWith('runts')) return 'runts';
  return name === 'C program' ? 'limit' : 'peer';
}

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
