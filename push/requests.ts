import type { OutgoingHttpHeaders } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { PUSH_LIFETIME_MS } from '../domain/limits.ts';
import type { Wake } from '../store/push/deliveries.ts';
import type { PushSettings } from '../process/push-settings.ts';
import { encryptForSubscription, makeVapid } from './web-push.ts';

/** An HTTP request that wakes a device. */
export interface WakeRequest {
  readonly url: string;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer | string;
}

/** A newer wake-up for the same device takes the place of one that the push service still has (RFC 8030 §5.4). */
const TOPIC = 'parley';

/** Makes the requests. They say that there is something, and what the configuration allows beside that. */
export function makeWakeRequest(settings: PushSettings): (wake: Wake, now: number) => Promise<WakeRequest | undefined> {
  const { webPush: web, gateway, content } = settings;
  const vapid = web === undefined ? undefined : makeVapid(web);
  const webhook = gateway === undefined ? undefined : new Webhook(gateway.secret);
  const facts = ({ conversation, unread }: Wake): Record<string, unknown> => ({
    ...(content.conversation && conversation !== null ? { conversation } : {}),
    ...(content.unread && unread !== null ? { unread } : {}),
  });

  const toWeb = async (
    wake: Wake,
    { endpoint, keys }: Wake['target'] & { kind: 'web-push' },
    ttl: number,
  ): Promise<WakeRequest | undefined> => {
    if (vapid === undefined) return undefined;
    const headers = {
      authorization: await vapid(endpoint),
      'content-type': 'application/octet-stream',
      'content-encoding': 'aes128gcm',
      ttl,
      urgency: wake.isHigh ? 'high' : 'normal',
      topic: TOPIC,
    };
    return {
      url: endpoint,
      headers,
      body: encryptForSubscription(JSON.stringify({ type: 'wake', ...facts(wake) }), keys),
    };
  };
  const toGateway = (
    wake: Wake,
    target: Wake['target'] & { kind: 'gateway' },
    ttl: number,
    now: number,
  ): WakeRequest | undefined => {
    if (gateway === undefined || webhook === undefined) return undefined;
    const { token, app } = target;
    const timestamp = new Date(now);
    const data = {
      token,
      ...(app === undefined ? {} : { app }),
      urgency: wake.isHigh ? 'high' : 'normal',
      ttl,
      ...facts(wake),
    };
    const body = JSON.stringify({ type: 'wake', timestamp: timestamp.toISOString(), data });
    return {
      url: gateway.url,
      headers: {
        'content-type': 'application/json',
        'webhook-id': wake.id,
        'webhook-timestamp': String(Math.floor(now / 1000)),
        'webhook-signature': webhook.sign(wake.id, timestamp, body),
      },
      body,
    };
  };
  return async (wake, now) => {
    const ttl = Math.max(0, Math.round((wake.wokenAt.getTime() + PUSH_LIFETIME_MS - now) / 1000));
    return wake.target.kind === 'web-push' ? toWeb(wake, wake.target, ttl) : toGateway(wake, wake.target, ttl, now);
  };
}
