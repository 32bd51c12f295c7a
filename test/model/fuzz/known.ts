import { isObject } from '../../../tools/fuzz/json-schema.ts';

/** The kinds of things that ids name. Path parameters and fields are assigned by their names and their paths. */
export type Noun =
  'conversation' | 'user' | 'device' | 'message' | 'welcome' | 'ref' | 'cursor' | 'point' | 'seq' | 'bytes';

/** Number of ids kept of each noun: the newest ones, so that requests use things that earlier requests created. */
const KEPT = 40;

/** Real ids, collected from answers of the service. */
export class Known {
  readonly #ids = new Map<Noun, string[]>();

  constructor(seed: Readonly<Partial<Record<Noun, readonly string[]>>> = {}) {
    for (const [noun, ids] of Object.entries(seed)) for (const id of ids) this.add(noun as Noun, id);
  }

  add(noun: Noun, id: string): void {
    const ids = this.#ids.get(noun) ?? [];
    if (ids.includes(id)) return;
    this.#ids.set(noun, [...ids, id].slice(-KEPT));
  }

  /** @returns the known ids, the newest last */
  of(noun: Noun): readonly string[] {
    return this.#ids.get(noun) ?? [];
  }

  forget(noun: Noun, id: string): void {
    this.#ids.set(
      noun,
      this.of(noun).filter((one) => one !== id),
    );
  }

  /** Collects every id in an answer of `template`. */
  learn(template: string, value: unknown, field = ''): void {
    if (Array.isArray(value)) for (const item of value) this.learn(template, item, field);
    else if (isObject(value))
      for (const [key, inner] of Object.entries(value)) this.#field(template, key, inner, field);
    else if (typeof value === 'string') {
      const noun = nounOf(template, field);
      if (noun !== undefined && noun !== 'bytes') this.add(noun, value);
    }
  }

  #field(template: string, key: string, value: unknown, parent: string): void {
    const place = parent === '' ? template : `${template}/${parent}`;
    this.learn(place, value, key);
  }
}

const BY_FIELD: Readonly<Record<string, Noun>> = {
  conversation: 'conversation',
  successor: 'conversation',
  positions: 'conversation',
  user: 'user',
  users: 'user',
  members: 'user',
  adds: 'user',
  removes: 'user',
  leaving: 'user',
  sender: 'user',
  device: 'device',
  devices: 'device',
  exhausted: 'device',
  ref: 'ref',
  refs: 'ref',
  next: 'cursor',
  cursor: 'cursor',
  changedSince: 'point',
};

/** The kind of thing that an id in this field of this path names. `undefined` = the field holds no id. */
export function nounOf(place: string, field: string): Noun | undefined {
  if (field !== 'id') return BY_FIELD[field];
  if (/\/welcomes(?:\/|$)/.test(place)) return 'welcome';
  if (/\/(?:messages|commits|unread|members|results|entries)\b/.test(place)) return 'message';
  return 'conversation';
}

/** The kind of thing that a path parameter names, taken from the segment before it. */
export function nounOfParameter(template: string, name: string): Noun | undefined {
  const before = template.split(`/{${name}}`)[0]?.split('/').at(-1) ?? '';
  switch (before) {
    case 'conversations':
      return 'conversation';
    case 'users':
    case 'members':
      return 'user';
    case 'devices':
      return 'device';
    case 'welcomes':
      return 'welcome';
    case 'messages':
      return 'seq';
    default:
      return undefined;
  }
}
