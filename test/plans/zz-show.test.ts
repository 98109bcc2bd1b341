import { test } from 'vitest';
import { planContainer } from '/work/main/lib/plan/container.ts';
import { helperForMounts } from '/work/main/lib/plan/helper.ts';
import { explain } from '/work/main/lib/program/explain.ts';
import { facts, request } from '/work/main/test/plans/requests.ts';
test('show', () => {
  for (const f of ['rootless', 'root'] as const) {
    const p = planContainer(request(), facts(f));
    console.log(f, JSON.stringify(p.maps), p.flags.toString(16), JSON.stringify(p.inputs));
    console.log(explain(p.segment));
  }
  const h = planContainer(request(undefined, { root: { kind: 'host' }, stdio: 'terminal' }), facts('root'));
  console.log(explain(h.segment), explain(helperForMounts(h.inputs as never)));
});
