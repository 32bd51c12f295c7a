import { z } from 'zod';
import {
  MAX_MUTED_CONVERSATIONS,
  MAX_PUSH_APP_CHARACTERS,
  MAX_PUSH_ENDPOINT_CHARACTERS,
  MAX_PUSH_TOKEN_CHARACTERS,
} from '../../domain/limits.ts';
import { PUSH_KINDS } from '../../domain/push.ts';
import { areSubscriptionKeys } from '../../push/target-check.ts';
import { ConversationId, ConversationIdInput, Time } from './common.ts';

const Endpoint = z.string().min(1).max(MAX_PUSH_ENDPOINT_CHARACTERS).meta({
  description: 'URL of the push subscription. Its host must be one that this service sends to',
  example: 'https://updates.push.services.mozilla.com/wpush/v2/gAAAAABk',
});
const Keys = z
  .strictObject({
    p256dh: z
      .string()
      .regex(/^[A-Za-z0-9_-]{87}=?$/)
      .meta({ description: 'Public key of P-256' }),
    auth: z
      .string()
      .regex(/^[A-Za-z0-9_-]{22}={0,2}$/)
      .meta({ description: 'Secret of 16 bytes' }),
  })
  .refine(areSubscriptionKeys, 'must be a public key of P-256 and a secret of 16 bytes (RFC 8291)')
  .meta({ description: 'Keys of the subscription (RFC 8291), base64url, as a browser gives them' });
const printable = (max: number): z.ZodString =>
  z
    .string()
    .regex(/^[\x21-\x7e]+$/)
    .max(max);
const Token = printable(MAX_PUSH_TOKEN_CHARACTERS).meta({
  description: 'What the gateway of the app knows the device by: a token of APNs or FCM, for example',
});
const App = printable(MAX_PUSH_APP_CHARACTERS).meta({
  description: 'Which app or platform the token belongs to, for a gateway that serves several',
});

const WebPushTarget = z
  .strictObject({
    kind: z.literal('web-push').meta({ description: 'Web Push (RFC 8030)' }),
    endpoint: Endpoint,
    keys: Keys,
  })
  .meta({ id: 'WebPushTarget', description: 'A subscription of a browser or of UnifiedPush' });
const GatewayTarget = z
  .strictObject({
    kind: z.literal('gateway').meta({ description: 'The push gateway of the app' }),
    token: Token,
    app: App.optional(),
  })
  .meta({ id: 'GatewayTarget', description: 'A device that the gateway of the app knows' });
export const PushTargetInput = z
  .discriminatedUnion('kind', [WebPushTarget, GatewayTarget])
  .meta({ id: 'PushTarget', description: 'Where the wake-ups of a device go' });

/** A target as it is shown: without the keys. */
export const ShownPushTarget = z.object({
  kind: z.enum(PUSH_KINDS).meta({ description: 'How the device is woken' }),
  endpoint: z.string().optional().meta({ description: 'Of a Web Push subscription' }),
  token: z.string().optional().meta({ description: 'Of a gateway' }),
  app: z.string().optional().meta({ description: 'Of a gateway: which app or platform the token belongs to' }),
  registeredAt: Time.meta({ description: 'When it was registered' }),
});

export const Push = z
  .object({
    kinds: z.array(z.enum(PUSH_KINDS)).meta({ description: 'Kinds of targets that this service sends wake-ups to' }),
    vapidPublicKey: z.string().optional().meta({
      description: 'The `applicationServerKey` of Web Push subscriptions, base64url. With another one: subscribe again',
    }),
    target: ShownPushTarget.optional().meta({ description: 'Absent = the calling device is not woken' }),
    muted: z.array(z.string()).meta({ description: 'Ids of conversations that the calling device is not woken for' }),
  })
  .meta({
    id: 'Push',
    description: 'What the service offers for wake-ups, and what the calling device has registered',
  });

export const PushMutedInput = z
  .strictObject({
    conversations: z
      .array(ConversationIdInput)
      .max(MAX_MUTED_CONVERSATIONS)
      .meta({ description: 'All that the calling device is not to be woken for' }),
  })
  .meta({ id: 'PushMutedInput', description: 'Conversations that stay silent' });
export const PushMuted = z
  .object({ conversations: z.array(ConversationId).meta({ description: 'What is stored now' }) })
  .meta({ id: 'PushMuted', description: 'Conversations that stay silent' });
