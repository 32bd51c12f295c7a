/** Who a window is. It is in the address, so a reload keeps it, and two windows can be two people. */
export interface WindowIdentity {
  /** User id; absent: the page asks for a name. */
  readonly user?: string;
  readonly device: string;
  /** Conversation that an invitation link names. */
  readonly join?: string;
  /** Conversation that is open. */
  readonly conversation?: string;
}

/** Device of a window whose address names none. */
export const DEFAULT_DEVICE = 'browser';

/** What `URL` has of an address. */
export interface Address {
  readonly search: string;
  readonly hash: string;
}

/** Reads who a window is: `?user=alice&device=laptop&join=<id>#c=<id>`. */
export function readIdentity({ search, hash }: Address): WindowIdentity {
  const query = new URLSearchParams(search);
  const [user, join] = [query.get('user'), query.get('join')];
  const conversation = new URLSearchParams(hash.slice(1)).get('c');
  return {
    device: query.get('device') ?? DEFAULT_DEVICE,
    ...(user === null || user === '' ? {} : { user }),
    ...(join === null || join === '' ? {} : { join }),
    ...(conversation === null || conversation === '' ? {} : { conversation }),
  };
}

/** The address of a window, relative to `/app/`. */
export function addressOf({ user, device, join, conversation }: Partial<WindowIdentity>): string {
  const query = new URLSearchParams();
  if (user !== undefined) query.set('user', user);
  if (device !== undefined && device !== DEFAULT_DEVICE) query.set('device', device);
  if (join !== undefined) query.set('join', join);
  const search = query.size === 0 ? '' : `?${query.toString()}`;
  return `/app/${search}${conversation === undefined ? '' : `#${new URLSearchParams({ c: conversation }).toString()}`}`;
}
