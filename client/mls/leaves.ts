import type { GroupView, Leaf } from './mls-library.ts';

/** User ids by leaf index. */
export function usersByLeaf({ leaves }: Pick<GroupView, 'leaves'>): ReadonlyMap<number, string> {
  const users = new Map<number, string>();
  for (const [index, { user }] of leaves) if (user !== undefined) users.set(index, user);
  return users;
}

/** Users by the signature keys (base64) of their devices. */
export function devicesOf({ leaves }: Pick<GroupView, 'leaves'>): ReadonlyMap<string, string> {
  const devices = new Map<string, string>();
  for (const { user, device } of leaves.values()) if (user !== undefined) devices.set(device, user);
  return devices;
}

/** Index of the leaf with this signature key (base64); `undefined` if the group has none. */
export function leafWithKey({ leaves }: Pick<GroupView, 'leaves'>, device: string): number | undefined {
  return [...leaves].find(([, leaf]: [number, Leaf]) => leaf.device === device)?.[0];
}
