import { type ContractDocument, type DocumentSchema, componentOf, resolved } from './document.ts';

/** One change that can break a client. */
export interface Break {
  readonly change: string;
  /** Where: an operation, or a component and the way to a property. */
  readonly where: string;
  readonly detail: string;
}

/** Two documents, and who makes the values: clients those of requests, the service those of answers. */
export interface Side {
  readonly of: 'request' | 'answer';
  readonly before: ContractDocument;
  readonly after: ContractDocument;
}

/** Of a property that is gone. */
const USED = 'clients use it';

type Pair = readonly [DocumentSchema, DocumentSchema];

/**
 * What breaks clients between two schemas. What clients could send must still be taken, and what the service sends must be what they
 * knew. So a request may become less strict, and an answer more precise.
 */
export function compareSchemas(side: Side, before: DocumentSchema, after: DocumentSchema, where: string): Break[] {
  const isRequest = side.of === 'request';
  const makers = isRequest ? side.before : side.after;
  const takers = isRequest ? side.after : side.before;
  const [made, taken]: Pair = isRequest ? [before, after] : [after, before];
  return [
    ...new Fit(side.of, makers, takers).breaksOf(made, taken, where),
    ...new Kept(side).breaksOf([before], [after], where),
  ];
}

/** Asks whether every value of one schema is a value of another one. */
class Fit {
  readonly #of: Side['of'];
  readonly #makers: ContractDocument;
  readonly #takers: ContractDocument;
  readonly #open = new Map<DocumentSchema, Set<DocumentSchema>>();

  constructor(of: Side['of'], makers: ContractDocument, takers: ContractDocument) {
    this.#of = of;
    this.#makers = makers;
    this.#takers = takers;
  }

  breaksOf(made: DocumentSchema, taken: DocumentSchema, outer: string): Break[] {
    // A schema may contain itself.
    const open = this.#open.get(made) ?? new Set();
    if (open.has(taken)) return [];
    this.#open.set(made, open.add(taken));
    const where = componentOf(taken) ?? componentOf(made) ?? outer;
    const forms = formsOf(taken, this.#takers);
    const breaks = formsOf(made, this.#makers).flatMap((form) => {
      const tries = forms.map((other) => this.#formBreaks(form, other, where));
      // The nearest form says best what is wrong.
      return tries.toSorted((a, b) => a.length - b.length)[0] ?? [];
    });
    open.delete(taken);
    return breaks;
  }

  #formBreaks(made: DocumentSchema, taken: DocumentSchema, where: string): Break[] {
    if (taken.type !== undefined && taken.type !== made.type && !(taken.type === 'number' && made.type === 'integer')) {
      const change = `${this.#of}-type-changed`;
      return [{ change, where, detail: `${text(made.type)} is not ${text(taken.type)}` }];
    }
    return [
      ...this.#valueBreaks(made, taken, where),
      ...(this.#of === 'request' ? boundBreaks(made, taken, where) : []),
      ...this.#propertyBreaks(made, taken, where),
      ...this.#innerBreaks(made.items, taken.items, `${where}[]`),
      ...this.#innerBreaks(mapOf(made), mapOf(taken), `${where}{}`),
    ];
  }

  #innerBreaks(made: DocumentSchema | undefined, taken: DocumentSchema | undefined, where: string): Break[] {
    return made === undefined || taken === undefined ? [] : this.breaksOf(made, taken, where);
  }

  #valueBreaks(made: DocumentSchema, taken: DocumentSchema, where: string): Break[] {
    const known = taken.enum;
    if (known === undefined) return [];
    const change = this.#of === 'request' ? 'request-value-refused' : 'answer-value-added';
    if (made.enum === undefined) return [{ change, where, detail: `any value, and not only ${known.join(', ')}` }];
    const others = made.enum.filter((value) => !known.includes(value));
    return others.length === 0 ? [] : [{ change, where, detail: others.join(', ') }];
  }

  #propertyBreaks(made: DocumentSchema, taken: DocumentSchema, where: string): Break[] {
    const own = new Map(Object.entries(made.properties ?? {}));
    const missing = (taken.required ?? []).filter((name) => made.required?.includes(name) !== true);
    const change = this.#of === 'request' ? 'request-property-required' : 'answer-property-optional';
    const isStrict = this.#of === 'request' && taken.additionalProperties === false;
    const isStricter = isStrict && made.additionalProperties !== false;
    const known = Object.keys(taken.properties ?? {});
    const refused = isStrict ? [...own.keys()].filter((name) => !known.includes(name)) : [];
    return [
      ...missing.map((name) => ({ change, where: `${where}.${name}`, detail: 'may be absent otherwise' })),
      ...refused.map((name) => ({ change: 'request-property-removed', where: `${where}.${name}`, detail: USED })),
      ...(isStricter ? [{ change: 'request-strict', where, detail: 'refuses properties that it ignored' }] : []),
      ...Object.entries(taken.properties ?? {}).flatMap(([name, inner]) =>
        this.#innerBreaks(own.get(name), inner, `${where}.${name}`),
      ),
    ];
  }
}

/** Asks whether what clients know is still there, in whichever form of a union. */
class Kept {
  readonly #side: Side;
  readonly #open = new Set<DocumentSchema>();

  constructor(side: Side) {
    this.#side = side;
  }

  breaksOf(before: readonly DocumentSchema[], after: readonly DocumentSchema[], outer: string): Break[] {
    const { of, ...documents } = this.#side;
    const entered = before
      .map((schema) => resolved(schema, documents.before))
      .filter((schema) => !this.#open.has(schema));
    if (entered.length === 0) return [];
    for (const schema of entered) this.#open.add(schema);
    const where = before.map(componentOf).find((name) => name !== undefined) ?? outer;
    const old = before.flatMap((schema) => formsOf(schema, documents.before));
    const now = after.flatMap((schema) => formsOf(schema, documents.after));
    const values = valuesOf(now);
    const lost = of === 'request' ? [] : (valuesOf(old) ?? []).filter((value) => values?.includes(value) === false);
    const names = new Set(old.flatMap(({ properties = {} }) => Object.keys(properties)));
    const breaks = [
      ...(lost.length === 0 ? [] : [{ change: 'answer-value-removed', where, detail: lost.join(', ') }]),
      ...[...names].flatMap((name) => this.#propertyBreaks(name, old, now, `${where}.${name}`)),
      ...this.#innerBreaks(old.map(itemsOf), now.map(itemsOf), `${where}[]`),
      ...this.#innerBreaks(old.map(mapOf), now.map(mapOf), `${where}{}`),
    ];
    for (const schema of entered) this.#open.delete(schema);
    return breaks;
  }

  #propertyBreaks(
    name: string,
    old: readonly DocumentSchema[],
    now: readonly DocumentSchema[],
    where: string,
  ): Break[] {
    const propertyOf = ({ properties = {} }: DocumentSchema): DocumentSchema | undefined =>
      new Map(Object.entries(properties)).get(name);
    if (now.every((form) => propertyOf(form) === undefined))
      return [{ change: `${this.#side.of}-property-removed`, where, detail: USED }];
    return this.#innerBreaks(old.map(propertyOf), now.map(propertyOf), where);
  }

  #innerBreaks(
    before: readonly (DocumentSchema | undefined)[],
    after: readonly (DocumentSchema | undefined)[],
    where: string,
  ): Break[] {
    const isThere = (schema: DocumentSchema | undefined): schema is DocumentSchema => schema !== undefined;
    const [old, now] = [before.filter(isThere), after.filter(isThere)];
    return old.length === 0 || now.length === 0 ? [] : this.breaksOf(old, now, where);
  }
}

/** The forms that a value may have: one for each member of a union, and for each type. */
function formsOf(schema: DocumentSchema, document: ContractDocument): DocumentSchema[] {
  const { oneOf, anyOf, allOf, type, const: only, ...rest } = resolved(schema, document);
  const members = oneOf ?? anyOf;
  if (members !== undefined) return members.flatMap((member) => formsOf(member, document));
  if (allOf !== undefined) return [merged(allOf.flatMap((part) => formsOf(part, document)))];
  const values = only === undefined ? {} : { enum: [only] };
  if (Array.isArray(type)) return type.map((one) => ({ ...rest, ...values, type: one }));
  return [{ ...rest, ...values, ...(type === undefined ? {} : { type }) }];
}

function merged(parts: readonly DocumentSchema[]): DocumentSchema {
  return parts.reduce<DocumentSchema>(
    (all, part) => ({
      ...all,
      ...part,
      properties: { ...all.properties, ...part.properties },
      required: [...(all.required ?? []), ...(part.required ?? [])],
    }),
    {},
  );
}

/** All values of the forms; undefined if one of them has any value. */
function valuesOf(forms: readonly DocumentSchema[]): unknown[] | undefined {
  return forms.some((form) => form.enum === undefined) ? undefined : forms.flatMap((form) => form.enum ?? []);
}

const itemsOf = ({ items }: DocumentSchema): DocumentSchema | undefined => items;

function mapOf({ additionalProperties }: DocumentSchema): DocumentSchema | undefined {
  return typeof additionalProperties === 'object' ? additionalProperties : undefined;
}

/** Keywords count only for values of these types. */
const LOWER = new Map([
  ['integer', 'minimum'],
  ['number', 'minimum'],
  ['string', 'minLength'],
  ['array', 'minItems'],
] as const);
const UPPER = new Map([
  ['integer', 'maximum'],
  ['number', 'maximum'],
  ['string', 'maxLength'],
  ['array', 'maxItems'],
] as const);

function boundBreaks(made: DocumentSchema, taken: DocumentSchema, where: string): Break[] {
  const lower = [...LOWER].filter(
    ([type, bound]) => made.type === type && (taken[bound] ?? -Infinity) > (made[bound] ?? -Infinity),
  );
  const upper = [...UPPER].filter(
    ([type, bound]) => made.type === type && (taken[bound] ?? Infinity) < (made[bound] ?? Infinity),
  );
  const bounds = [...lower, ...upper].map(([, bound]) => ({
    change: 'request-bound-tightened',
    where,
    detail: `${bound} ${text(made[bound])} → ${text(taken[bound])}`,
  }));
  if (made.type !== 'string' || taken.pattern === undefined || taken.pattern === made.pattern) return bounds;
  const detail = `${text(made.pattern)} → ${taken.pattern}`;
  return [...bounds, { change: 'request-pattern-changed', where, detail }];
}

const text = (value: string | number | string[] | undefined): string => String(value ?? 'anything');
