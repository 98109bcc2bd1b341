import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoName } from '../../lib/program/errno.ts';
import { failing, killing, nameOf } from './calls.ts';
import type { Here, Place } from './place.ts';
import { misbehaviour, type Scenario } from './scenarios.ts';
import { type Act, programs, type Scope, type Traced, type Tracing, traced } from './traced.ts';

/** One fault: in which command, at which of its calls, and what happens there. */
export interface Point {
  readonly scenario: string;
  readonly act: Exclude<Act, 'list'>;
  readonly scope: Scope;
  readonly at: number;
  readonly variant: number;
  /** Calls that are refused everywhere, instead of one that fails. */
  readonly denied?: readonly (readonly [number: number, errno: number])[];
}

export interface Verdict {
  readonly point: Point;
  readonly what: string;
  /** Whether the command came to the call. */
  readonly reached: boolean;
  readonly problems: readonly string[];
  readonly ms: number;
}

/** How long what was killed may take to be gone. */
const settleMs = 10_000;

export class Trial {
  readonly #place: Place;
  readonly #tracing: Tracing;
  #untouched = 0;

  constructor(place: Place, tracing: Tracing) {
    this.#place = place;
    this.#tracing = tracing;
  }

  /** The calls of a command to which nothing happens. */
  async listed(scenario: Scenario, changers: boolean): Promise<Traced> {
    await this.#before(scenario);
    const calls = changers ? killing : failing;
    const orders = { act: 'list', scope: 'host', at: 0, variant: 0, calls, changers, denied: [] } as const;
    const result = await traced(this.#tracing, orders, this.#command(scenario));
    await this.#clear();
    if (result.code !== 0) throw new Error(`${scenario.name} fails by itself with ${result.code}: ${result.stderr}`);
    return result;
  }

  /** Does it, looks at what is left, clears up, and sees that a new container can be made. */
  async run(scenario: Scenario, point: Point): Promise<Verdict> {
    const place = this.#place;
    const start = Date.now();
    const before = place.look();
    const problems = await this.#before(scenario);
    if (problems.length > 0) return { point, what: 'before', reached: false, problems, ms: Date.now() - start };
    const { act, scope, at, variant, denied = [] } = point;
    const changers = act !== 'fail';
    const calls = denied.length > 0 ? [] : changers ? killing : failing;
    const orders = { act, scope, at, variant, calls, changers, denied };
    const result = await traced(this.#tracing, orders, this.#command(scenario));
    problems.push(...(await this.#judged(scenario, point, result, before)));
    // What a process left that was killed goes when the next one has its turn.
    if (scenario.library) problems.push(...(await place.useLibrary()));
    problems.push(...(await this.#cleared(before)));
    const { hit } = result;
    const what = hit
      ? `${nameOf(hit.number)} ${hit.errno === 0 ? '' : errnoName(hit.errno)} ${hit.subject}`
      : 'not reached';
    const said = `[${result.code ?? `signal ${result.signal}`}] ${result.stderr.trim()}`;
    return {
      point,
      what: `${what} ${said}`,
      reached: hit !== undefined || denied.length > 0,
      problems,
      ms: Date.now() - start,
    };
  }

  #command(scenario: Scenario): readonly string[] {
    const args = scenario.command(this.#place);
    return scenario.library ? [programs.library, ...args] : [programs.commandLine, '--root', this.#place.root, ...args];
  }

  async #judged(scenario: Scenario, { act, scope, denied }: Point, result: Traced, before: Here): Promise<string[]> {
    const killed = result.hit !== undefined && (act === 'killhost' || (act === 'kill' && scope === 'host'));
    if (killed && result.signal === 9) {
      await this.#disown();
      return [];
    }
    // A command that was killed ends so, and there is nothing to say about it.
    const ended = act === 'kill' && scope === 'init' && result.code === 137;
    const wrong = ended ? undefined : misbehaviour(result);
    const problems = wrong === undefined ? [] : [wrong];
    if (result.code === 0) await this.#disown();
    if (result.code === 0) problems.push(...(await this.#succeeded(scenario, result, denied !== undefined, before)));
    else if (scenario.atomic)
      problems.push(...(await this.#nothing(before)).map((each) => `after the failure, ${each}`));
    return problems;
  }

  /** The pid file of a container that was made is its caller's, and stays: here we are the caller. */
  async #disown(): Promise<void> {
    const { code, output } = await this.#place.errand('state', this.#place.id);
    const made = code === 0 && (JSON.parse(output) as { status: string }).status !== 'creating';
    if (made) rmSync(this.#place.pidFile, { force: true });
  }

  /** Who says that all is well must have done it. */
  async #succeeded(scenario: Scenario, result: Traced, isDenied: boolean, before: Here): Promise<string[]> {
    if (scenario.after === undefined) return (await this.#nothing(before)).map((each) => `after a success, ${each}`);
    const { code, output, errors } = await this.#place.errand('state', this.#place.id);
    if (code !== 0) return [`said that it succeeded, and state says: ${errors}`];
    const { status } = JSON.parse(output) as { status: string };
    if (scenario.after.includes(status)) return [];
    // An init that was killed, or that failed after its host had gone.
    if (status === 'stopped' && !isDenied && result.hit !== undefined) return [];
    return [`said that it succeeded, and the container is ${status}`];
  }

  async #before(scenario: Scenario): Promise<string[]> {
    for (const args of scenario.before(this.#place)) {
      const { code, errors } = await this.#place.errand(...args);
      if (code !== 0) return [`${args.join(' ')} afterwards: ${code} ${errors}`];
    }
    rmSync(this.#place.pidFile, { force: true });
    return [];
  }

  /** What is left when there is to be nothing, after a while for what ends by itself. */
  async #nothing(before: Here): Promise<string[]> {
    const giveUp = Date.now() + settleMs;
    for (;;) {
      const left = this.#place.left(before);
      if (left.length === 0 || Date.now() > giveUp) return left;
      await sleep(10);
    }
  }

  async #cleared(before: Here): Promise<string[]> {
    const place = this.#place;
    const untouched = place.left(before).length === 0;
    const problems = await this.#clear();
    const left = await this.#nothing(before);
    problems.push(...left.map((each) => `after delete --force, ${each}`));
    // Where nothing was there to begin with, now and then is enough: the next fault begins with a container, too.
    if (untouched && ++this.#untouched % 10 !== 0) return problems;
    const { code, errors } = await place.errand('run', '--bundle', place.bundle('plain', 'true'), place.id);
    if (code !== 0) {
      problems.push(`a new run: ${code} ${errors}`);
      await this.#clear();
    }
    return problems;
  }

  async #clear(): Promise<string[]> {
    const start = Date.now();
    const { code, errors } = await this.#place.errand('delete', '--force', this.#place.id);
    if (code !== 0) return [`delete --force: ${code} ${errors}`];
    return Date.now() - start > settleMs ? [`delete --force took ${Date.now() - start} ms`] : [];
  }
}
