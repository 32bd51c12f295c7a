import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { answerConsentRequest, listConsentRequests, readConsent, writeConsent } from '../../store/consent/consent.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { UsersPageQuery, cursorAfter } from '../schemas/common.ts';
import { Consent, ConsentAnswer, ConsentRequestList } from '../schemas/consent.ts';
import { UserParams } from '../schemas/key-packages.ts';

const tag = 'Consent';
const path = '/v1/consent';

/** Who may invite the caller, and who asks to. */
export function consentRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const get = defineRoute({
    method: 'get',
    path,
    name: 'getConsent',
    tag,
    summary: 'Get who may invite you',
    description: 'Your own setting, for all conversations',
    replies: { 200: { description: 'Your setting', schema: Consent } },
    problems: [],
    handle: async ({ caller }) => reply(200, { mode: await readConsent(pool, caller.user) }),
  });

  const put = defineRoute({
    method: 'put',
    path,
    name: 'setConsent',
    tag,
    summary: 'Set who may invite you',
    description:
      'Holds for all your devices, from now on. Whoever may not invite you gets 403 `consent-required` when it claims your key packages, or makes you a member without one, and you get a request. Conversations that you are in stay as they are.',
    body: Consent,
    replies: { 200: { description: 'Your setting', schema: Consent } },
    problems: [],
    handle: async ({ body: { mode }, caller }) => {
      await writeConsent(pool, caller.user, mode);
      return reply(200, { mode });
    },
  });

  const list = defineRoute({
    method: 'get',
    path: `${path}/requests`,
    name: 'listConsentRequests',
    tag,
    summary: 'List who asks to invite you',
    description:
      'Requests that you have not answered. A request is gone after 30 days. You have at most 100, of which a new one replaces the oldest.',
    query: UsersPageQuery,
    replies: { 200: { description: 'Requests by user id', schema: ConsentRequestList } },
    problems: [],
    handle: async ({ query: { cursor = '', limit }, caller }) => {
      const rows = await listConsentRequests(pool, caller.user, cursor, limit + 1);
      const requests = rows.slice(0, limit).map(({ user, at }) => ({ user, at: at.toISOString() }));
      const last = requests.at(-1);
      const next = rows.length > limit && last !== undefined ? { next: cursorAfter(last.user) } : {};
      return reply(200, { requests, ...next });
    },
  });

  const answer = defineRoute({
    method: 'post',
    path: `${path}/requests/{user}`,
    name: 'answerConsentRequest',
    tag,
    summary: 'Accept or refuse a request',
    description:
      'Whom you accept may invite you from now on, in every mode. Whom you refuse may not, and is not told: its later requests reach nobody. You may change an answer by another one.',
    params: UserParams,
    body: ConsentAnswer,
    replies: { 204: { description: 'The answer is stored' } },
    problems: ['not-found'],
    handle: async ({ params, body, caller }) => {
      if (!(await answerConsentRequest(pool, caller.user, params.user, body.accept))) throw new AppError('not-found');
      return emptyReply(204);
    },
  });
  return [get, put, list, answer];
}
