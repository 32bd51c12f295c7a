import { loadSuite } from '../../../client/testing.ts';
import type { Answer } from '../../harness/answer.ts';
import type { AttackCase, Target } from '../attack-case.ts';
import { largeWelcome, privateCommit } from '../mls-bytes.ts';
import { keyPackagesOf } from '../own-keys.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const WELCOMES = 20;
const WELCOME_BYTES = 1_570_000;
const MEMBERSHIPS = 60;
/** What one inviter may have in the inbox of one user. */
const MAX_INBOX_BYTES = 8_000_000;

export const fullInbox: AttackCase = {
  name: 'full-inbox',
  does: "A stranger fills a victim's inbox with 31 MB of Welcomes and makes it a member of 60 conversations. A friend invites it too.",
  work: 'Keeping everything for thirty days, and refusing the friend.',
  run: async (target) => {
    const tally = new Tally();
    const suite = await loadSuite();
    const count = target.isShort ? 4 : WELCOMES;
    const upload = { keyPackages: await keyPackagesOf('victim', suite, count + 2) };
    tally.add(await target.ask('POST /v1/key-packages', { user: 'victim', body: upload }));
    const spam = new Set<string>();
    for (let i = 0; i < count; i++) {
      const { id, answer } = await invite(target, 'spammer', target.isShort ? 2 * WELCOME_BYTES : WELCOME_BYTES);
      spam.add(id);
      tally.add(answer);
    }
    const friend = await invite(target, 'friend', 2000);
    const inbox = await inboxOf(target, 'victim');
    const bytes = inbox.reduce((sum, { conversation, size }) => sum + (spam.has(conversation) ? size : 0), 0);
    const hasFriend = inbox.some(({ conversation }) => conversation === friend.id);

    // Memberships are for who consents. The default is everybody, as people expect who share an address.
    const consent = await target.ask('PUT /v1/consent', { user: 'hermit', body: { mode: 'contacts' } });
    tally.note(`consent ${consent.status}`);
    for (let i = 0; i < (target.isShort ? 5 : MEMBERSHIPS); i++) {
      const body = { id: newGroupId(), protocol: 'opaque', members: ['hermit'], policy: { externalJoin: 'nobody' } };
      tally.add(await target.ask('POST /v1/conversations', { user: 'spammer', body }));
    }
    const { rowCount: memberships } = await target.pool.query(
      `select from member where user_id = 'hermit' and left_seq is null`,
    );
    tally.note("bytes in the victim's inbox", bytes);
    tally.note('memberships without consent', memberships ?? 0);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`A stranger put ${bytes} bytes into an inbox.`]: bytes > MAX_INBOX_BYTES,
        [`The Welcome of a friend was refused or is not there (${friend.answer.status}).`]: !hasFriend,
        [`${memberships} memberships were put on a user who wants contacts only.`]: (memberships ?? 0) > 0,
      }),
    };
  },
};

/** Claims a key package of the victim and adds it, with a Welcome of this size, to a conversation of its own. */
async function invite(target: Target, user: string, size: number): Promise<{ id: string; answer: Answer }> {
  const id = await seedConversation(target.pool, [user], { protocol: 'mls' });
  const claim = await target.ask('POST /v1/users/victim/key-packages/claim', { user, body: { conversation: id } });
  const [claimed] = (claim.body.keyPackages ?? []) as readonly { readonly ref: string }[];
  if (claimed === undefined) return { id, answer: claim };
  const welcome = largeWelcome(Buffer.from(claimed.ref, 'base64'), size);
  const body = { commit: privateCommit(id, 0), adds: ['victim'], welcome };
  return { id, answer: await target.ask(`POST /v1/conversations/${id}/commits`, { user, body }) };
}

/** Every Welcome that waits for the user's device, with its size in bytes. */
async function inboxOf(target: Target, user: string): Promise<{ conversation: string; size: number }[]> {
  const found: { conversation: string; size: number }[] = [];
  for (let cursor: string | undefined; ;) {
    const query = cursor === undefined ? '' : `?cursor=${encodeURIComponent(cursor)}`;
    const { body } = await target.ask(`GET /v1/welcomes${query}`, { user });
    const page = body as { welcomes?: { conversation: string; welcome: string }[]; next?: string };
    for (const { conversation, welcome } of page.welcomes ?? []) {
      found.push({ conversation, size: Buffer.byteLength(welcome, 'base64') });
    }
    if (page.next === undefined) return found;
    cursor = page.next;
  }
}
