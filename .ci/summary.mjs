// Adds up vitest's JSON reports: what was skipped, then what failed and why, then the closing line. A report that is
// missing or empty is a failure, and so is a step that failed although none of its tests did (a line each of the first file,
// which is there if one failed).
import { existsSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

const [stepsFile, ...reports] = process.argv.slice(2);
const steps = existsSync(stepsFile) ? readFileSync(stepsFile, 'utf8').trim().split('\n') : [];
const count = { passed: 0, failed: 0, skipped: 0 };
const skipped = new Map();
const failures = [];

for (const file of reports) {
  const run = basename(file, '.json');
  const report = read(file);
  if (report === undefined) {
    failures.push({ run, suite: { name: file }, fullName: '(the whole run)', why: 'its report is missing: it did not end' });
    continue;
  }
  count.passed += report.numPassedTests;
  count.skipped += report.numPendingTests;
  for (const suite of report.testResults) {
    const failed = suite.assertionResults.filter(({ status }) => status === 'failed');
    for (const { fullName, failureMessages } of failed) failures.push({ run, suite, fullName, why: failureMessages[0] });
    // A file that could not be loaded, or whose hooks failed, has no failed test to show for it.
    if (suite.status === 'failed' && failed.length === 0) failures.push({ run, suite, fullName: '(the file)', why: suite.message });
    for (const { title, status } of suite.assertionResults) {
      if (status !== 'passed' && status !== 'failed') skipped.set(title, [...(skipped.get(title) ?? []), run]);
    }
  }
}
count.failed = Math.max(failures.length, steps.length);

function read(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

for (const [title, runs] of skipped) console.log(`skipped in ${runs.join(', ')}: ${title}`);
for (const { run, suite, fullName, why = '' } of failures) {
  const text = why.split('\n').slice(0, 12).join('\n    ').slice(0, 1500);
  console.log(`\nFAILED in ${run}: ${suite.name.replace(/^.*\/test\//, 'test/')}: ${fullName}\n    ${text}`);
}
for (const step of steps) console.log(`FAILED: ${step}`);
console.log(`\n${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
process.exit(count.failed === 0 && count.passed > 0 ? 0 : 1);
