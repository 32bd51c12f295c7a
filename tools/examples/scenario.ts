import { createHash, randomBytes } from 'node:crypto';
import type { Example } from '../../api/reference/examples.ts';
import { exampleDevice, textBytes } from './mls.ts';
import type { ExampleRequest, Send } from './recorder.ts';

type Answer = Readonly<Record<string, unknown>>;
type More = Omit<ExampleRequest, 'operation' | 'as'>;

interface Expected {
  /** Status of a refusal. @default a success */
  readonly refused?: number;
  /** Number of events of a stream. @default 1 */
  readonly events?: number;
}

/** Calls an operation as a user, and remembers request and answer. @throws Error at another answer than expected */
type Call = (operation: string, as: string | undefined, more?: More, expected?: Expected) => Promise<Answer>;

/**
 * Alice and bob chat in an MLS group; then come members, roles, consent, repair, devices, and what operators do. Each operation
 * occurs at least once; the first time is its example. It needs an empty service.
 */
export async function runScenario(send: Send): Promise<Example[]> {
  const run: Example[] = [];
  const call: Call = async (operation, as, more = {}, { refused, events } = {}) => {
    const request = { operation, ...(as === undefined ? {} : { as }), ...more };
    const { status, answer } = await send(request, events);
    if (refused === undefined ? status >= 300 : status !== refused)
      throw new Error(`${operation}: ${status} ${JSON.stringify(answer)}`);
    run.push({ ...request, status, ...(isShort(answer) ? { answer } : {}) });
    return typeof answer === 'object' ? (answer as Answer) : {};
  };
  await observe(call);
  const id = await chat(call);
  await wake(call, id);
  await members(call);
  await consent(call);
  await operate(call, id);
  await repair(call, id);
  await leave(call);
  return run;
}

/** Longest answer that an example shows, characters of JSON. */
const LONGEST_ANSWER = 8000;
const isShort = (answer: unknown): boolean => answer !== undefined && JSON.stringify(answer).length <= LONGEST_ANSWER;

/** Begins with a letter: a leading `-` looks like an option on a command line. */
const newId = (): string => Buffer.concat([Buffer.of(0), randomBytes(15)]).toString('base64url');

async function observe(call: Call): Promise<void> {
  for (const operation of ['health', 'live', 'ready', 'metrics', 'openapi', 'docs']) await call(operation, undefined);
  await call('problemPage', undefined, { params: { code: 'epoch-conflict' } });
}

async function chat(call: Call): Promise<string> {
  const [alice, bob] = await Promise.all([exampleDevice('alice'), exampleDevice('bob')]);
  const forBob = await bob.keyPackage();
  const lastResort = await bob.keyPackage({ isLastResort: true });
  await call('uploadKeyPackages', 'bob', { body: { keyPackages: [forBob.bytes], lastResort: lastResort.bytes } });
  await call('countKeyPackages', 'bob');

  await call('getExternalSender', 'alice', { query: { cipherSuite: '1' } });
  const id = newId();
  const params = { id };
  const creation = { body: { id, groupInfo: await alice.begin(id) } };
  await call('createConversation', 'alice', creation);
  await call('createConversation', 'alice', creation);
  await call('claimKeyPackages', 'alice', { params: { user: 'bob' }, body: { conversation: id } });
  await call('claimGroupKeyPackages', 'alice', { body: { users: ['bob', 'nobody'], conversation: id } });
  const late = await alice.update();
  const { commit, welcome, groupInfo } = await alice.add(forBob);
  await call('commit', 'alice', { params, body: { commit, adds: ['bob'], welcome, groupInfo } });
  await call('commit', 'alice', { params, body: late }, { refused: 409 });

  await call('streamAccountEvents', 'bob', {}, { events: 3 });
  const { welcomes } = await call('listWelcomes', 'bob');
  const [first] = welcomes as { id: string }[];
  if (first === undefined) throw new Error('bob has no Welcome');
  await call('acknowledgeWelcome', 'bob', { params: { id: first.id }, body: {} });
  const secret = randomBytes(32);
  const deleteHash = createHash('sha256').update(secret).digest('hex');
  const hello = { id: 'hello-1', ciphertext: await alice.message('hello'), deleteHash };
  await call('sendMessages', 'alice', { params, body: hello });
  await call('sendSignal', 'alice', { params, body: { data: await alice.signal('typing') } });
  await call('streamEvents', 'bob', { params, query: { after: '1' } });
  const { position } = await call('readEntries', 'bob', { params, query: { after: '1' } });
  await call('markRead', 'bob', { params, body: { seq: 2 } });
  await call('markRead', 'bob', { params, body: { seq: 1, back: true } });
  await call('countUnread', 'bob');
  await call('incrementUnread', 'alice', { params, body: { by: 1, id: 'increment-1' } });
  await call('acknowledge', 'bob', { body: { positions: { [id]: position } } });
  await call('comparePositions', 'bob', { params, body: { positions: [position] } });
  await call('getEpoch', 'bob', { params });
  await call('getGroupInfo', 'bob', { params });
  await call('putGroupInfo', 'alice', { params, body: { groupInfo } });
  await call('listMembers', 'bob', { params });
  await call('getConversation', 'bob', { params });
  await call('listConversations', 'bob');
  await call('deleteMessage', 'alice', {
    params: { ...params, seq: '2' },
    body: { secret: secret.toString('base64') },
  });
  await call('listDeletions', 'bob', { params, query: { after: '1' } });
  await call('changeConversation', 'alice', { params, body: { policy: { retentionDays: 30 } } });
  await call('replaceKeyPackages', 'bob', { body: { keyPackages: [(await bob.keyPackage()).bytes] } });
  return id;
}

/** How the device of bob gets to know of something new without a token in a header, and while it sleeps. */
async function wake(call: Call, id: string): Promise<void> {
  await call('makeStreamTicket', 'bob', { body: { path: `/v1/conversations/${id}/events` } });
  await call('registerPush', 'bob', { body: { kind: 'gateway', token: 'token-of-the-phone', app: 'ios' } });
  await call('mutePush', 'bob', { body: { conversations: [id] } });
  await call('getPush', 'bob');
  await call('unregisterPush', 'bob');
}

/** In an opaque conversation, where a change of members needs no MLS commit. */
async function members(call: Call): Promise<void> {
  const params = { id: newId() };
  await call('createConversation', 'alice', { body: { id: params.id, protocol: 'opaque' } });
  await call('sendMessages', 'alice', { params, body: { id: 'note-1', ciphertext: textBytes('a first note') } });
  await call('addMembers', 'alice', { params, body: { users: ['bob', 'carol', 'dave'] } });
  await call('setRole', 'alice', { params: { ...params, user: 'bob' }, body: { role: 'admin' } });
  await call('removeMember', 'alice', { params: { ...params, user: 'carol' }, body: {} });
  await call('removeMemberByPost', 'dave', { params: { ...params, user: 'dave' }, body: {} });
  await call('barUser', 'alice', { params: { ...params, user: 'dave' } });
  await call('liftBar', 'alice', { params: { ...params, user: 'dave' } });
  await call('deleteConversation', 'alice', { params });
}

async function consent(call: Call): Promise<void> {
  await call('setConsent', 'carol', { body: { mode: 'contacts' } });
  await call('getConsent', 'carol');
  // Refused, and so a request.
  await call('claimKeyPackages', 'alice', { params: { user: 'carol' }, body: {} }, { refused: 403 });
  await call('listConsentRequests', 'carol');
  await call('answerConsentRequest', 'carol', { params: { user: 'alice' }, body: { accept: true } });
}

async function operate(call: Call, id: string): Promise<void> {
  const as = 'operator';
  const params = { id };
  await call('getStatus', as);
  await call('getPath', as);
  await call('setPath', as, { body: { path: 'auto', rollout: 100 } });
  await call('adminListConversations', as, { query: { limit: '10' } });
  await call('adminGetConversation', as, { params });
  await call('adminFollowLife', as, { params });
  await call('getHistory', as, { params });
  await call('restartConversation', as, { params, body: {} });
  await call('shutdownConversation', as, { params, body: {} });
  await call('adminGetUser', as, { params: { user: 'bob' } });
  await call('adminListUserConversations', as, { params: { user: 'bob' } });
  const { export: exportId } = await call('beginExport', as, { params, body: { reason: 'request of the user' } });
  const ofExport = { params: { ...params, export: String(exportId) } };
  await call('exportEntries', as, ofExport);
  await call('exportMembers', as, ofExport);
  await call('startConsistencyAudit', as, { body: { conversations: [id] } });
  await call('startConsistencyAudit', as, { body: {} });
  await call('getConsistencyAudit', as);
  await call('stopConsistencyAudit', as);
  await call('getSupervisor', as);
  await call('setSupervisorPolicy', as, { body: { strategy: 'one-for-one' } });
  await call('rotateExternalSender', as);
  await call('offBoardUser', as, { params: { user: 'carol' }, body: { reason: 'account-closed' } });
  await call('getOffBoarding', as, { params: { user: 'carol' } });
  await call('undoOffBoarding', as, { params: { user: 'carol' } });
  await call('restored', as, { body: {} });
  await call('drain', as, { body: {} });
  await call('getDrain', as);
  await call('endDrain', as);
  await call('listAudit', as, { query: { limit: '3' } });
}

async function repair(call: Call, id: string): Promise<void> {
  const report = { seq: 2, epoch: 1, reason: 'cannot decrypt' };
  await call('reportEntry', 'bob', { params: { id }, body: report });
  const reset = { params: { id }, body: { successor: newId() } };
  await call('resetConversation', 'alice', reset);
  await call('resetConversation', 'alice', reset);
  await call('adminDeleteConversation', 'operator', { params: { id } });
}

async function leave(call: Call): Promise<void> {
  await call('listConversations', 'alice', { device: 'old-phone' });
  await call('listDevices', 'alice', { device: 'old-phone' });
  await call('forgetDevice', 'alice', { params: { device: 'old-phone' } });
  await call('eraseMe', 'dave');
}
