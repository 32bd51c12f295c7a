import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { base64 } from '../../harness/api/conversations.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { externalCommit, groupInfo, privateMessage, welcome } from '../../harness/api/frames.ts';
import { useDatabase } from '../../harness/database.ts';
import { makeCorpus } from './corpus.ts';
import type { Operation } from '../../../tools/fuzz/document.ts';
import type { JsonSchema } from '../../../tools/fuzz/json-schema.ts';
import { nounOf, nounOfParameter } from './known.ts';
import { fuzzOptions } from '../../../tools/fuzz/options.ts';
import type { FuzzAnswer, FuzzRequest } from './sender.ts';
import { changedValue, parameterText, validValue } from './values.ts';
import { type World, startWorld } from './world.ts';

const { seed: SEED } = fuzzOptions();
/** Number of bodies of each kind for each operation. */
const BODIES = 6;
/** Placeholders for ids. Two requests then differ only in the id that replaces the placeholder. */
const CONVERSATION = 'conversation-placeholder';
const WELCOME = Buffer.from(CONVERSATION).toString('base64');
/** Headers that describe one request and not the conversation. */
const OF_THE_REQUEST = [
  'x-request-id',
  'date',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'connection',
  'keep-alive',
];

/**
 * Operations that show an outsider that a conversation exists, on purpose: a user who may join by external commit needs
 * the GroupInfo (RFC 9420 §12.4.3.2), and one who asks to join sends a proposal for the current epoch (§12.1.8).
 */
const OPEN_TO_ANYONE: readonly string[] = ['getGroupInfo', 'commit', 'getEpoch', 'sendMessages'];

const database = useDatabase();
let world: World;
/** Conversations of user-0 and user-1: one with default policy, one that anyone may join, and a deleted one. */
let existing: string;
let open: string;
let deleted: string;

beforeAll(async () => {
  world = await startWorld(database().pool);
  const [first, second] = await Promise.all([makeCorpus(2), makeCorpus(2)]);
  await world.makeMls(first);
  await world.makeMls(second, { externalJoin: 'anyone' });
  existing = first.conversation;
  open = second.conversation;
  deleted = await world.makeOpaque();
  const gone = await world.service.ask(`DELETE /v1/conversations/${deleted}`, { user: 'user-0' });
  expect(gone.status).toBe(204);
});
afterAll(() => world.stop());

/** A request with a placeholder for the conversation. */
interface Probe {
  readonly operation: Operation;
  readonly headers: Readonly<Record<string, string>>;
  readonly target: string;
  readonly body: string | undefined;
}

describe('invariant 8: a user who does not belong to a conversation learns nothing, not even that it exists', () => {
  test('an outsider learns nothing of a conversation of others by any request', async () => {
    const checked = await compare(existing, 'stranger');
    expect(checked.differing).toEqual([]);
    expect(checked.operations).toEqual(
      expect.arrayContaining(['getConversation', 'sendMessages', 'commit', 'getEpoch']),
    );
  });

  test('outsiders and former members learn nothing of a deleted conversation', async () => {
    expect((await compare(deleted, 'stranger')).differing).toEqual([]);
    expect((await compare(deleted, 'user-1')).differing).toEqual([]);
  });

  test('an outsider of a conversation that anyone may join learns only what a join needs', async () => {
    const { differing } = await compare(open, 'stranger');
    expect(differing.filter((line) => !OPEN_TO_ANYONE.includes(line.split(' ')[0] ?? ''))).toEqual([]);
  });

  test('an outsider learns nothing by naming a member or a non-member', async () => {
    const withUser = probes('stranger').filter(({ target }) => target.includes('/members/'));
    expect(withUser.length).toBeGreaterThan(0);
    for (const probe of withUser) {
      const member = await ask(
        { ...probe, target: probe.target.replace(/members\/[^/?]+/, 'members/user-1') },
        existing,
      );
      const nobody = await ask(
        { ...probe, target: probe.target.replace(/members\/[^/?]+/, 'members/no-one') },
        existing,
      );
      expect(member).toEqual(nobody);
    }
  });

  test('a removed user learns nothing of later events', async () => {
    const id = await world.makeOpaque();
    const removed = await world.service.ask(`DELETE /v1/conversations/${id}/members/joiner`, { user: 'user-0' });
    expect(removed.status).toBe(200);
    // Requests that set read marks would change the answers themselves.
    const all = [...probes('joiner'), ...lists('joiner')].filter(({ operation }) => operation.method === 'GET');
    const before: string[] = [];
    for (const probe of all) before.push(await ask(probe, id));
    const say = { id: 'later', ciphertext: base64('hello') };
    await world.service.ask(`POST /v1/conversations/${id}/messages`, { user: 'user-0', body: say });
    await world.service.ask(`DELETE /v1/conversations/${id}/members/user-2`, { user: 'user-0' });
    await world.service.ask(`PATCH /v1/conversations/${id}`, { user: 'user-0', body: { policy: { maxMembers: 77 } } });
    const differing: string[] = [];
    for (const [i, probe] of all.entries()) {
      const after = await ask(probe, id);
      if (after !== before[i]) differing.push(`${probe.operation.name} ${before[i] ?? ''} -> ${after}`);
    }
    expect(differing).toEqual([]);
  });

  test('a claim does not show whether a user exists without key packages', async () => {
    const claims = probes('stranger').filter(({ target }) => target.startsWith('/v1/users/'));
    for (const probe of claims) {
      const known = await ask({ ...probe, target: probe.target.replace(/users\/[^/?]+/, 'users/user-2') }, existing);
      const unknown = await ask({ ...probe, target: probe.target.replace(/users\/[^/?]+/, 'users/no-one') }, existing);
      expect(known).toEqual(unknown);
    }
  });
});

/** Sends every probe for `id` and for an id that never existed. */
async function compare(id: string, user: string): Promise<{ differing: string[]; operations: string[] }> {
  const differing: string[] = [];
  const operations = new Set<string>();
  for (const probe of probes(user)) {
    operations.add(probe.operation.name);
    const absent = newConversationId().padEnd(id.length, 'A').slice(0, id.length);
    const [there, nowhere] = [await ask(probe, id), await ask(probe, absent)];
    if (there !== nowhere) {
      const { operation, target, body = '' } = probe;
      differing.push(`${operation.name} ${target} ${body.slice(0, 400)}\n    there: ${there}\n    nowhere: ${nowhere}`);
    }
  }
  return { differing, operations: [...operations] };
}

/** Status, headers and body of an answer, without the parts that describe this one request. */
async function ask(probe: Probe, id: string): Promise<string> {
  const { operation, target, headers, body } = probe;
  const request: FuzzRequest = {
    method: operation.method,
    target: target.replaceAll(CONVERSATION, id),
    headers,
    ...(body === undefined ? {} : { body: fillIn(body, id) }),
  };
  return normalised(await world.sender.send(request), id);
}

function normalised({ status, headers, text }: FuzzAnswer, id: string): string {
  const kept = Object.entries(headers).filter(([name]) => !OF_THE_REQUEST.includes(name));
  const body = text.replaceAll(/"requestId":"[^"]*"/g, '').replaceAll(id, CONVERSATION);
  return JSON.stringify([status, Object.fromEntries(kept.filter(([name]) => name !== 'content-length')), body]);
}

/** Requests for every operation that can name a conversation in its path, query or body. */
function probes(user: string): Probe[] {
  return world.api.operations
    .filter(({ isPublic }) => !isPublic)
    .flatMap((operation, i) => {
      const bodies = bodiesOf(operation, SEED + i);
      return bodies.map((body, k): Probe => {
        const path = operation.template.replaceAll(/\{(\w+)\}/g, (_all, name: string) => {
          const noun = nounOfParameter(operation.template, name);
          return noun === 'conversation' ? CONVERSATION : noun === 'user' ? 'user-1' : 'x';
        });
        const query = queryOf(operation, SEED + k);
        const headers = {
          authorization: world.authorization(user),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        };
        return { operation, headers, target: `${path}${query}`, body };
      });
    })
    .filter(
      ({ target, body = '' }) =>
        target.includes(CONVERSATION) || body.includes(CONVERSATION) || target.includes('/users/'),
    );
}

/** Requests for the user's own lists. */
function lists(user: string): Probe[] {
  return world.api.operations
    .filter(({ isPublic, template }) => !isPublic && !template.includes('{'))
    .map((operation) => ({
      operation,
      headers: { authorization: world.authorization(user) },
      target: operation.template,
      body: undefined,
    }));
}

function bodiesOf(operation: Operation, seed: number): (string | undefined)[] {
  if (operation.body === undefined) return [undefined];
  const suggest = (field: string, schema: JsonSchema): fc.Arbitrary<unknown> | undefined => {
    if (schema.contentEncoding !== undefined) return fc.constant(`${WELCOME}:${field}`);
    const noun = schema.type === 'string' ? nounOf(operation.template, field) : undefined;
    const isNew = operation.template === '/v1/conversations' || field === 'successor';
    if (noun === 'conversation') return fc.constant(isNew ? 'AAAAAAAAAAAAAAAAAAAAAA' : CONVERSATION);
    return noun === 'user' ? fc.constantFrom('user-0', 'user-1', 'no-one') : undefined;
  };
  const valid = validValue(operation.body, { schemas: world.api.schemas, suggest });
  const sample = (values: fc.Arbitrary<unknown>): string[] =>
    fc.sample(values, { numRuns: BODIES, seed }).map((value) => JSON.stringify(value));
  return [...sample(valid), ...sample(changedValue(valid)), '{', ''];
}

function queryOf({ parameters }: Operation, seed: number): string {
  const inQuery = parameters.filter((one) => one.in === 'query');
  const fields = inQuery.flatMap(({ name, schema }, i) => {
    const suggest = (): undefined => undefined;
    const [value] = fc.sample(fc.option(validValue(schema, { schemas: world.api.schemas, suggest })), {
      numRuns: 1,
      seed: seed + i,
    });
    return value === null || value === undefined ? [] : [`${name}=${encodeURIComponent(parameterText(value))}`];
  });
  return fields.length === 0 ? '' : `?${fields.join('&')}`;
}

/** Replaces the placeholders by the id, and by messages that name the id as their group. */
function fillIn(body: string, id: string): string {
  return body
    .replaceAll(new RegExp(`${WELCOME.replaceAll('=', '\\=')}:(\\w+)`, 'g'), (_all, field: string) =>
      frameFor(field, id),
    )
    .replaceAll(CONVERSATION, id);
}

function frameFor(field: string, id: string): string {
  switch (field) {
    case 'commit':
      return base64(externalCommit(id, 1));
    case 'welcome':
      return base64(welcome());
    case 'groupInfo':
      return base64(groupInfo(id, 1));
    case 'proposal':
      return base64(privateMessage(id, 1, 'proposal'));
    default:
      return base64(privateMessage(id, 1));
  }
}
