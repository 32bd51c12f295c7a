import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { acknowledgeWelcome, listWelcomes } from '../../store/welcome/welcomes.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { EmptyBody, cursorAfter } from '../schemas/common.ts';
import { WelcomeList, WelcomeParams, WelcomesQuery } from '../schemas/welcomes.ts';

const tag = 'Welcomes';

/** Welcomes that wait for the caller's device. */
export function welcomeRoutes({ pool }: { readonly pool: pg.Pool }): Route[] {
  const list = defineRoute({
    method: 'get',
    path: '/v1/welcomes',
    name: 'listWelcomes',
    tag,
    summary: 'List your Welcomes',
    description:
      'For the calling device: Welcomes that name one of its key packages, and Welcomes of `opaque` conversations for its user. Reading deletes nothing: acknowledge a Welcome after you have stored its group. A page ends early when it has about a megabyte. A client that acknowledges each page gets the rest also without a cursor.',
    hasLargeAnswer: true,
    query: WelcomesQuery,
    replies: { 200: { description: 'Welcomes, oldest first', schema: WelcomeList } },
    problems: [],
    handle: async ({ query: { cursor, limit }, caller }) => {
      const page = await listWelcomes(pool, caller, cursor, limit);
      const welcomes = page.welcomes.map((row) => ({ ...row, welcome: row.welcome.toString('base64') }));
      return reply(200, { welcomes, ...(page.next === undefined ? {} : { next: cursorAfter(page.next) }) });
    },
  });

  const acknowledge = defineRoute({
    method: 'post',
    path: '/v1/welcomes/{id}/ack',
    name: 'acknowledgeWelcome',
    tag,
    summary: 'Acknowledge a Welcome',
    description: 'The Welcome is deleted. A second request gets `not-found`.',
    shedding: 'never',
    params: WelcomeParams,
    body: EmptyBody,
    replies: { 204: { description: 'The Welcome is deleted' } },
    problems: ['not-found'],
    handle: async ({ params, caller }) => {
      if (!(await acknowledgeWelcome(pool, caller, params.id))) throw new AppError('not-found');
      return emptyReply(204);
    },
  });
  return [list, acknowledge];
}
