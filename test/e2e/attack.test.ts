import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ParleyClient, createHttp } from '../../client/index.ts';
import type { Submitter } from '../../dispatch/submission.ts';
import type { Target } from '../../tools/attack/attack-case.ts';
import { CASES } from '../../tools/attack/cases.ts';
import { GUEST, commitWithAdds, groupInfoBytes, publicProposal, welcomeForMany } from '../../tools/attack/mls-bytes.ts';
import { newGroupId, seedConversation } from '../../tools/attack/seed.ts';
import { directSubmitter } from '../../tools/harness/in-process-api.ts';
import { rememberTokens } from '../../tools/harness/tokens.ts';
import { troubledPool } from '../../tools/harness/trouble.ts';
import { useApi } from '../harness/api/use-api.ts';

// The short form of `npm run attack`: what attacks achieve, and how much work the service does for them. Times
// belong to the long form, whose service has processes of its own.

/** Strings below this size are the small JSON of every answer. */
const LARGE = 10_000;

/** What the service did. */
const work = {
  /** Names of statements, in their order. */
  statements: [] as string[],
  /** Characters of large bodies that were parsed as JSON. */
  parsed: 0,
  /** Commands that took a place in a queue. */
  queued: 0,
};

const { database, service } = useApi(({ pool: real }) => {
  const { pool, trouble } = troubledPool(real);
  trouble.before = ({ name }) => void work.statements.push(name);
  return { pool, submitter: counting(directSubmitter(real)) };
});
const token = rememberTokens();
const target = (): Target => ({
  url: service.url,
  ask: service.ask,
  token: (user) => token(user),
  clientOf: (user, device) =>
    new ParleyClient(createHttp({ baseUrl: service.url, token: () => token(user, { device }) })),
  pool: database().pool,
  process: undefined,
  isShort: true,
});

function counting(submitter: Submitter): Submitter {
  return {
    submit: (submission) => {
      work.queued++;
      return submitter.submit(submission);
    },
  };
}

const parse = JSON.parse.bind(JSON);
beforeEach(() => {
  vi.spyOn(JSON, 'parse').mockImplementation((text: string, reviver) => {
    if (text.length >= LARGE) work.parsed += text.length;
    return parse(text, reviver) as unknown;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The work for one request. */
async function workOf(ask: () => Promise<unknown>): Promise<typeof work> {
  work.statements = [];
  work.parsed = 0;
  work.queued = 0;
  await ask();
  return { ...work };
}

/** Counts the items of all lists that are searched from now on. @returns the count so far */
function countSearches(): () => number {
  let items = 0;
  for (const name of ['includes', 'indexOf'] as const) {
    const real = Reflect.get(Array.prototype, name) as (this: unknown[], ...of: unknown[]) => unknown;
    vi.spyOn(Array.prototype, name).mockImplementation(function search(this: unknown[], ...of: unknown[]) {
      items += this.length;
      return real.apply(this, of) as never;
    });
  }
  return () => items;
}

describe('of an attack nothing comes (invariant 14)', () => {
  test.each(
    CASES.filter(({ hasShortForm }) => hasShortForm !== false).map(({ name, run, does }) => ({ name, run, does })),
  )('$name: $does', async ({ run }) => {
    const { failures, achieved } = await run(target());
    expect(failures, JSON.stringify(achieved)).toEqual([]);
  });
});

describe('a stranger gets no work out of the service (invariant 14)', () => {
  const adds = 2000;
  const large = (id: string): object => ({
    commit: commitWithAdds(id, 0, adds),
    welcome: welcomeForMany(adds),
    adds: [GUEST],
  });
  const ROUTES: readonly (readonly [string, (id: string) => unknown])[] = [
    ['POST commits', large],
    ['POST members', (id) => ({ ...large(id), users: [GUEST] })],
    ['POST messages', () => ({ id: 'm', ciphertext: 'A'.repeat(600_000) })],
    ['PUT group-info', () => ({ groupInfo: 'A'.repeat(600_000) })],
    ['POST reports', () => ({ seq: 1, epoch: 0, reason: 'A'.repeat(100_000) })],
    ['PATCH', () => ({ policy: { surprise: 'A'.repeat(100_000) } })],
  ];

  test.each(ROUTES)(
    '%s: its body is not parsed, nothing is queued, and the statements are those for no conversation',
    async (route, body) => {
      const [method = '', rest] = route.split(' ');
      const existing = await seedConversation(database().pool, ['owner'], { protocol: 'mls' });
      const ask = (id: string, user: string) => (): Promise<{ status: number }> =>
        service.ask(`${method} /v1/conversations/${id}${rest === undefined ? '' : `/${rest}`}`, {
          user,
          body: body(id),
        });
      // The service knows a conversation better when its members use it.
      await service.ask(`GET /v1/conversations/${existing}`, { user: 'owner' });
      // A user's first request may note its device.
      await service.ask('GET /v1/welcomes', { user: 'stranger' });
      const forExisting = await workOf(ask(existing, 'stranger'));
      const forMissing = await workOf(ask(newGroupId(), 'stranger'));
      expect(forExisting).toEqual(forMissing);
      expect(forExisting).toMatchObject({ parsed: 0, queued: 0 });
      expect(forExisting.statements.length).toBeLessThanOrEqual(1);
    },
  );
});

describe('what one request costs does not grow with what it names (invariant 14)', () => {
  test('a commit with 900 Adds and its Welcome are compared by look-ups, not by searching lists in lists', async () => {
    const adds = 900;
    const id = await seedConversation(database().pool, ['owner'], { protocol: 'mls' });
    const body = { commit: commitWithAdds(id, 0, adds), welcome: welcomeForMany(adds), adds: [GUEST] };
    const searched = countSearches();
    await service.ask(`POST /v1/conversations/${id}/commits`, { user: 'owner', body });
    expect(searched()).toBeLessThan(100 * adds);
  });

  test.each(['proposer', 'outsider'])(
    '100 public proposals of the %s load the GroupInfo for the request, not for each of them',
    async (user) => {
      const id = newGroupId();
      const groupInfo = Buffer.from(
        groupInfoBytes({ conversation: id, epoch: 0, tree: Buffer.alloc(100_000, 1), externalPub: Buffer.alloc(32) }),
        'base64',
      );
      const policy = { externalJoin: 'anyone' } as const;
      await seedConversation(database().pool, ['owner', 'proposer'], { id, protocol: 'mls', policy, groupInfo });
      const messages = Array.from({ length: 100 }, (_, i) => ({
        id: `p-${i}`,
        ciphertext: publicProposal(id, 0, 1, i),
      }));
      const done = await workOf(() =>
        service.ask(`POST /v1/conversations/${id}/messages`, { user, body: { messages } }),
      );
      // One statement asks which GroupInfo is current, and one loads it.
      const asked = done.statements.filter((name) => name.includes('group-info'));
      expect(asked.length).toBeLessThanOrEqual(2);
      expect(asked.filter((name) => name === 'read-stored-group-info').length).toBeLessThanOrEqual(1);
      expect(done.statements.length).toBeLessThanOrEqual(110);
    },
  );

  test("a list of 100 messages costs a member's request as many statements as a list of one, but for the decisions", async () => {
    const id = await seedConversation(database().pool, ['owner']);
    const list = (count: number): Promise<typeof work> => {
      const messages = Array.from({ length: count }, (_, i) => ({ id: `${count}-${i}`, ciphertext: 'AAAA' }));
      return workOf(() => service.ask(`POST /v1/conversations/${id}/messages`, { user: 'owner', body: { messages } }));
    };
    await list(2);
    const one = await list(1);
    const many = await list(100);
    expect(one.queued).toBe(1);
    expect(many.queued).toBe(100);
    expect(many.statements).toEqual(one.statements);
  });
});
