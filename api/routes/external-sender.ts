import type pg from 'pg';
import { retireSenderKeys } from '../../store/off-boarding/sender-keys.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { ExternalSender, ExternalSenderQuery, RotatedSenders } from '../schemas/off-boarding.ts';
import type { ExternalSenderOf } from '../services/external-senders.ts';

/** The service as an external sender (RFC 9420 §12.1.8.1). */
export function externalSenderRoutes({
  pool,
  externalSenderOf,
}: {
  readonly pool: pg.Pool;
  readonly externalSenderOf: ExternalSenderOf;
}): Route[] {
  const get = defineRoute({
    method: 'get',
    path: '/v1/external-sender',
    name: 'getExternalSender',
    tag: 'Key packages',
    summary: 'The service as an external sender',
    description:
      'Groups that list this ExternalSender in the extension `external_senders` of their GroupContext get Remove proposals of the service for users and devices that an operator has removed. Put it into new groups. The key of a signature scheme may be replaced: groups that list an older one get proposals as well.',
    query: ExternalSenderQuery,
    replies: { 200: { description: 'The ExternalSender', schema: ExternalSender } },
    problems: ['not-found', 'unavailable'],
    handle: async ({ query: { cipherSuite } }) => {
      const sender = await externalSenderOf(cipherSuite);
      return reply(200, { cipherSuite, externalSender: sender.toString('base64') });
    },
  });
  const rotate = defineRoute({
    method: 'post',
    path: '/v1/admin/external-sender/rotation',
    name: 'rotateExternalSender',
    tag: 'Operators',
    access: 'operator',
    summary: 'Replace the keys of the external sender',
    description:
      'The next request for a signature scheme gets a new key. Replaced keys stay for the groups that list them.',
    replies: { 200: { description: 'The keys are replaced', schema: RotatedSenders } },
    problems: ['not-allowed'],
    handle: async ({ caller }) => reply(200, { retired: await retireSenderKeys(pool, caller.user) }),
  });
  return [get, rotate];
}
