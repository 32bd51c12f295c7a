import type { KnownPerson } from './new-names.ts';

const KEY = 'parley/people';

/** People who have used the chat in this browser, the last one first. Their names and devices are kept, and no secret. */
export function knownPeople(): readonly KnownPerson[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    return Array.isArray(stored) ? stored.filter(isPerson) : [];
  } catch {
    return [];
  }
}

/** Keeps a person among those known. */
export function rememberPerson(person: KnownPerson): void {
  store([person, ...without(knownPeople(), person)]);
}

/** The opposite, after a device logged out. */
export function forgetPerson(person: KnownPerson): void {
  store(without(knownPeople(), person));
}

const without = (people: readonly KnownPerson[], { user, device }: KnownPerson): KnownPerson[] =>
  people.filter((one) => one.user !== user || one.device !== device);

const store = (people: readonly KnownPerson[]): void => localStorage.setItem(KEY, JSON.stringify(people));

function isPerson(value: unknown): value is KnownPerson {
  if (typeof value !== 'object' || value === null) return false;
  const { user, device } = value as Partial<KnownPerson>;
  return typeof user === 'string' && typeof device === 'string';
}
