// node embed.cjs <file> <header>: the bytes of the init as a C++ header.
const { readFileSync, writeFileSync } = require('node:fs');

const [, , file, header] = process.argv;
const bytes = readFileSync(file);
const lines = [];
for (let at = 0; at < bytes.length; at += 32) lines.push(`    ${[...bytes.subarray(at, at + 32)].join(',')},`);
const array = `alignas(8) constexpr unsigned char kInitImage[] = {\n${lines.join('\n')}\n};`;
writeFileSync(header, `#pragma once\n\nnamespace runts {\n\n${array}\n\n}  // namespace runts\n`);
