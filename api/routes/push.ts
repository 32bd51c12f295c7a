import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { PushKind } from '../../domain/push.ts';
import type { PushSettings } from '../../process/push-settings.ts';
import { targetProblem } from '../../push/target-check.ts';
import {
  type Registration,
  mutePush,
  readMuted,
  readRegistrations,
  registerPush,
  unregisterPush,
} from '../../store/push/targets.ts';
import type { Caller } from '../http/caller.ts';
import { emptyReply, reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { Push, PushMuted, PushMutedInput, PushTargetInput } from '../schemas/push.ts';

const tag = 'Devices';
const path = '/v1/push';

/** Where the wake-ups of the calling device go, and which it does not want. */
export function pushRoutes({ pool, push }: { readonly pool: pg.Pool; readonly push: PushSettings }): Route[] {
  const answer = async (caller: Caller) => {
    const [[registration], muted] = await Promise.all([
      readRegistrations(pool, caller.user, caller.device),
      readMuted(pool, caller),
    ]);
    return { ...offeredBy(push), ...(registration === undefined ? {} : { target: shownTarget(registration) }), muted };
  };

  const get = defineRoute({
    method: 'get',
    path,
    name: 'getPush',
    tag,
    summary: 'Get the wake-ups of your device',
    description: 'What this service offers, and what the calling device has registered.',
    replies: { 200: { description: 'Wake-ups', schema: Push } },
    problems: [],
    handle: async ({ caller }) => reply(200, await answer(caller)),
  });

  const put = defineRoute({
    method: 'put',
    path,
    name: 'registerPush',
    tag,
    summary: 'Register for wake-ups',
    description:
      'From now on the calling device is woken for new messages that its user has not read, in place of where it was woken before. It is woken once, until it acknowledges something (`POST /v1/ack`, or a read mark): a wake-up only says that there is something. A user has at most 20 such devices, of which a new one replaces the oldest; an endpoint or token stands once for a user.',
    body: PushTargetInput,
    replies: { 200: { description: 'Registered', schema: Push } },
    problems: ['push-not-offered'],
    handle: async ({ body, caller }) => {
      const { kind } = body;
      const target =
        kind === 'web-push'
          ? { kind, endpoint: body.endpoint, keys: body.keys }
          : { kind, token: body.token, ...(body.app === undefined ? {} : { app: body.app }) };
      const problem = targetProblem(push, target);
      if (problem !== undefined) throw new AppError('push-not-offered', problem);
      await registerPush(pool, caller, target);
      return reply(200, await answer(caller));
    },
  });

  const remove = defineRoute({
    method: 'delete',
    path,
    name: 'unregisterPush',
    tag,
    summary: 'End wake-ups',
    description: 'The calling device is not woken any more. Do this before its user logs out. What it muted stays.',
    replies: { 204: { description: 'There are no wake-ups' } },
    problems: [],
    handle: async ({ caller }) => {
      await unregisterPush(pool, caller);
      return emptyReply(204);
    },
  });

  const mute = defineRoute({
    method: 'put',
    path: `${path}/muted`,
    name: 'mutePush',
    tag,
    summary: 'Mute conversations',
    description:
      'Replaces the conversations that the calling device is not woken for, whatever its messages say. The answer leaves out those that you are no member of.',
    body: PushMutedInput,
    replies: { 200: { description: 'What is muted now', schema: PushMuted } },
    problems: [],
    handle: async ({ body, caller }) => reply(200, { conversations: await mutePush(pool, caller, body.conversations) }),
  });
  return [get, put, remove, mute];
}

function offeredBy({ webPush, gateway }: PushSettings) {
  const kinds: PushKind[] = [
    ...(webPush === undefined ? [] : (['web-push'] as const)),
    ...(gateway === undefined ? [] : (['gateway'] as const)),
  ];
  return { kinds, ...(webPush === undefined ? {} : { vapidPublicKey: webPush.publicKey }) };
}

/** A target without its keys, which nobody needs to read again. */
function shownTarget({ target, registeredAt }: Registration) {
  const { kind } = target;
  const where = kind === 'web-push' ? { endpoint: target.endpoint } : { token: target.token };
  const app = kind === 'gateway' && target.app !== undefined ? { app: target.app } : {};
  return { kind, ...where, ...app, registeredAt: registeredAt.toISOString() };
}
