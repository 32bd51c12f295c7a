import { DEFAULT_DEVICE } from './window-identity.ts';

/** A person who uses the chat in this browser. */
export interface KnownPerson {
  readonly user: string;
  readonly device: string;
}

const KEY = 'parley/people';
const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan', 'judy'];
const DEVICES = [DEFAULT_DEVICE, 'phone', 'laptop', 'tablet'];

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

/** A name that nobody in this browser has. */
export function newName(known: readonly KnownPerson[]): string {
  return firstFree(NAMES, new Set(known.map(({ user }) => user)), 'guest');
}

/** A device that a user does not have in this browser. */
export function newDevice(known: readonly KnownPerson[], user: string): string {
  return firstFree(DEVICES, new Set(known.filter((one) => one.user === user).map(({ device }) => device)), 'device');
}

function firstFree(wanted: readonly string[], taken: ReadonlySet<string>, prefix: string): string {
  const free = wanted.find((one) => !taken.has(one));
  if (free !== undefined) return free;
  let number = wanted.length + 1;
  while (taken.has(`${prefix}-${number}`)) number++;
  return `${prefix}-${number}`;
}

const without = (people: readonly KnownPerson[], { user, device }: KnownPerson): KnownPerson[] =>
  people.filter((one) => one.user !== user || one.device !== device);

const store = (people: readonly KnownPerson[]): void => localStorage.setItem(KEY, JSON.stringify(people));

function isPerson(value: unknown): value is KnownPerson {
  if (typeof value !== 'object' || value === null) return false;
  const { user, device } = value as Partial<KnownPerson>;
  return typeof user === 'string' && typeof device === 'string';
}
