import type { Pass } from './rule.ts';

// $1: keys of conversations.

/** Each Welcome with its commit, its bytes and its key package. */
export const WELCOMES: Pass = {
  rows: `
    select c.key as conversation, c.oldest_seq, w.user_id as "user", w.device_id as device, w.seq, w.epoch, m.joined_seq,
      e.ends,
      (select true from welcome_body where conversation = c.key and seq = w.seq limit 1) as has_bytes, k.ref is not null and (
        k.user_id <> w.user_id or k.device_id <> w.device_id
        or not k.last_resort and (k.claimed_at is null or k.conversation is distinct from c.key)) as wrong_package
    from conversation c
    cross join lateral (select * from welcome where conversation = c.key offset 0) w
    left join lateral (select joined_seq from member
      where conversation = c.key and user_id = w.user_id and left_seq is null limit 1) m on true
    left join lateral (select epoch as ends from entry where conversation = c.key and seq = w.seq and kind = 'commit' limit 1) e
      on true
    left join lateral (select * from key_package where ref = w.ref limit 1) k on true
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'welcome-has-commit',
      invariant: 6,
      about: 'A Welcome belongs to an accepted commit, which began its epoch, and to a current member.',
      broken:
        'x.joined_seq is null or x.joined_seq > x.seq or (x.seq >= x.oldest_seq and x.ends + 1 is distinct from x.epoch)',
      shows: ['user', 'device', 'seq', 'epoch', 'joined_seq', 'ends'],
    },
    {
      name: 'welcome-has-bytes',
      invariant: 6,
      about: 'A Welcome has its bytes.',
      broken: 'x.has_bytes is null',
      shows: ['user', 'device', 'seq'],
    },
    {
      name: 'welcome-key-package',
      invariant: 6,
      about: 'A Welcome names a key package of its device, which was claimed and is used here and nowhere else.',
      broken: 'x.wrong_package',
      shows: ['user', 'device', 'seq'],
    },
  ],
};

/** The sweep walks through all bytes of Welcomes again and again. A walk takes less than this. */
const ORPHAN_DAYS = 7;

/** Bytes of Welcomes. */
export const WELCOME_BODIES: Pass = {
  rows: `
    select c.key as conversation, c.oldest_seq, b.seq, e.at, e.kind,
      (select true from welcome where conversation = c.key and seq = b.seq limit 1) as waits
    from conversation c
    cross join lateral (select seq from welcome_body where conversation = c.key offset 0) b
    left join lateral (select at, kind from entry where conversation = c.key and seq = b.seq limit 1) e on true
    where c.key = any ($1) and c.deleted_at is null`,
  rules: [
    {
      name: 'welcome-bytes-have-commit',
      invariant: 6,
      about: 'Bytes of a Welcome belong to an accepted commit.',
      broken: `x.seq >= x.oldest_seq and x.kind is distinct from 'commit'`,
      shows: ['seq', 'kind'],
    },
    {
      name: 'welcome-bytes-orphaned',
      about: 'Bytes that no Welcome needs are gone a week after the Welcome must have expired: the sweep takes them.',
      broken: `x.waits is null and x.at < now() - welcome_lifetime() - make_interval(days => ${ORPHAN_DAYS})`,
      shows: ['seq', 'at'],
    },
  ],
};

/**
 * Key packages that a commit may have used. One commit per package stands in the row itself; the Welcomes of a second one break
 * `welcome-key-package`. $1: ref after which they begin; $2: the last one.
 */
export const KEY_PACKAGES: Pass = {
  rows: `
    select coalesce(k.conversation, 0) as conversation, encode(k.ref, 'base64') as ref, k.last_resort, k.claimed_at, k.used_at,
      k.conversation is not null as is_bound, k.conversation is null or c.key is not null as is_known
    from key_package k left join lateral (select key from conversation where key = k.conversation limit 1) c on true
    where k.ref > $1 and k.ref <= $2`,
  rules: [
    {
      name: 'key-package-used-once',
      invariant: 6,
      about:
        'A key package is claimed before it is used, used in one conversation, and a last resort is never used up.',
      broken: `x.is_bound <> (x.used_at is not null) or not x.is_known
        or x.used_at is not null and (x.claimed_at is null or x.last_resort)`,
      shows: ['ref', 'last_resort', 'claimed_at', 'used_at'],
    },
  ],
};
