import { DEFAULT_DEVICE } from './window-identity.ts';

/** A person who uses the chat in this browser. */
export interface KnownPerson {
  readonly user: string;
  readonly device: string;
}

const NAMES = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan', 'judy'];
const DEVICES = [DEFAULT_DEVICE, 'phone', 'laptop', 'tablet'];

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
