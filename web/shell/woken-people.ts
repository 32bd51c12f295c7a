import { indexedDbStore } from '../../client/index.ts';
import type { KnownPerson } from './new-names.ts';

const NAME = 'parley woken';
const PREFIX = 'person/';

const keyOf = ({ user, device }: KnownPerson): string => `${PREFIX}${JSON.stringify([user, device])}`;

/**
 * Who is woken in this browser. A browser has one push subscription for all people of the page, and a wake-up does not say who it is
 * for: the service worker looks for each of them.
 */
export async function wokenPeople(): Promise<readonly KnownPerson[]> {
  const store = await indexedDbStore(NAME);
  try {
    const keys = await store.keys(PREFIX);
    return keys.map((key) => {
      const [user, device] = JSON.parse(key.slice(PREFIX.length)) as [string, string];
      return { user, device };
    });
  } finally {
    await store.close?.();
  }
}

/** Keeps that a person is woken here, or that they are not any more. */
export async function setWoken(person: KnownPerson, isWoken: boolean): Promise<void> {
  const store = await indexedDbStore(NAME);
  try {
    await store.write([[keyOf(person), isWoken ? '1' : undefined]]);
  } finally {
    await store.close?.();
  }
}
