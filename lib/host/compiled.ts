import { type ContainerRequest, planContainer } from '../plan/container.ts';
import type { Facts } from '../plan/facts.ts';
import type { Plan } from '../plan/plan.ts';
import { encode } from '../program/encode.ts';
import { remember } from '../program/encoded.ts';
import { constant, isConstant } from '../spec/constant.ts';
import { dataText } from '../spec/data-text.ts';
import { bytesHoles, filled, filledBytes, type Holes, holesOf } from '../spec/holes.ts';
import { Recent } from '../spec/recent.ts';
import type { Spec } from '../spec/types.ts';
import type { Host } from './host.ts';

/** A configuration that was asked for more than once, of a container whose id is the mark. */
interface Template {
  readonly mark: string;
  readonly spec: Spec;
  readonly holes: Holes;
  /** By the text of what else a plan is made of. */
  readonly plans: Repeated<(id: string) => Plan>;
}

/** What was compiled with the same facts. */
interface Memory {
  readonly mark: string;
  readonly templates: Repeated<Template>;
}

/** Keeps what is asked for again: what comes once costs no more than its key. */
class Repeated<V> {
  readonly #seen: Recent<{ value?: V }>;

  constructor(max: number) {
    this.#seen = new Recent(max);
  }

  /** Undefined at the first time. */
  get(key: string, make: () => V): V | undefined {
    let isNew = false;
    const found = this.#seen.get(key, () => {
      isNew = true;
      return {};
    });
    if (isNew) return undefined;
    found.value ??= make();
    return found.value;
  }
}

const specsMax = 64;
const plansMax = 8;
/** A longer key is not worth its memory. */
const keyLengthMax = 64 * 1024;

/** New facts begin with nothing. */
const memories = new WeakMap<Facts, Memory>();
const templatesOf = new WeakMap<Spec, Template>();

/** Numbers of constants, to name them by in keys. */
const numbers = new WeakMap<object, number>();
let numbered = 0;

/** What a specification is made of. */
export interface SpecParts<P> {
  readonly id: string;
  /** Plain data, or it is made anew; the id may be in it. */
  readonly parts: P;
  /** Values that are known by their identity: frozen ones, or it is made anew. */
  readonly constants: readonly (object | undefined)[];
}

/**
 * The configuration that `make` gives for an id and some parts. Where the same was asked for before, but for the id, it is not
 * made again: what is kept was made of a copy of the parts, so that nobody can change it.
 */
export function compiledSpec<P>(
  { random }: Pick<Host, 'random'>,
  facts: Facts,
  { id, parts, constants }: SpecParts<P>,
  make: (id: string, parts: P) => Spec,
): Spec {
  const names = constants.map(nameOf);
  const text = isPlainId(id) && !names.includes(undefined) ? dataText(parts) : undefined;
  if (text === undefined || text.length > keyLengthMax) return make(id, parts);
  const { mark, templates } = memoryOf(random, facts);
  const marked = text.split(id).join(mark);
  const template = templates.get(`${names.join()} ${marked}`, () => {
    const spec = constant(make(mark, JSON.parse(marked) as P));
    return { mark, spec, holes: holesOf(spec, mark), plans: new Repeated(plansMax) };
  });
  if (template === undefined) return make(id, parts);
  const spec = filled(template.spec, template.holes, mark, id);
  templatesOf.set(spec, template);
  return spec;
}

/** The plan of a container; with its bytes, where the same was compiled before, but for the id. */
export function compiledPlan(request: ContainerRequest, facts: Facts): Plan {
  const { id, spec, ...parts } = request;
  const template = templatesOf.get(spec);
  const text = template && dataText(parts);
  if (template === undefined || text === undefined || text.length > keyLengthMax) return planContainer(request, facts);
  const { mark } = template;
  const marked = text.split(id).join(mark);
  const plan = template.plans.get(marked, () => {
    const rest = JSON.parse(marked) as typeof parts;
    return planFor(planContainer({ ...rest, id: mark, spec: template.spec }, facts), mark);
  });
  return plan?.(id) ?? planContainer(request, facts);
}

/** The same plan for other ids. */
function planFor(plan: Plan, mark: string): (id: string) => Plan {
  const holes = holesOf(plan, mark);
  let bytes: Uint8Array | undefined;
  let places: ReturnType<typeof bytesHoles> = [];
  const bytesFor = (id: string): Uint8Array => {
    if (bytes === undefined) {
      bytes = encode(plan.segment);
      places = bytesHoles(bytes, mark);
    }
    return filledBytes(bytes, places, id);
  };
  return (id) => {
    const own = filled(plan, holes, mark, id);
    remember(own.segment, () => bytesFor(id));
    return own;
  };
}

function memoryOf(random: Host['random'], facts: Facts): Memory {
  let memory = memories.get(facts);
  if (memory === undefined) {
    const mark = [...random(32)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
    memory = { mark, templates: new Repeated(specsMax) };
    memories.set(facts, memory);
  }
  return memory;
}

/** Ids of another form may be a part of anything. */
const isPlainId = (id: string): boolean => /^[0-9a-f]{64}$/.test(id);

/** Undefined for what may change. */
function nameOf(value: object | undefined): string | undefined {
  if (value === undefined) return '-';
  if (!isConstant(value)) return undefined;
  const number = numbers.get(value) ?? ++numbered;
  numbers.set(value, number);
  return String(number);
}
