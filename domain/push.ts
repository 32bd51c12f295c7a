/** Words of wake-ups (docs/explanation/wake-ups.md). */

/** How a message wakes devices that sleep: not at all, when it suits them, or at once. */
export const PUSH_LEVELS = ['none', 'normal', 'high'] as const;
export type PushLevel = (typeof PUSH_LEVELS)[number];

/** Where wake-ups go: a Web Push service (RFC 8030), or the gateway of the app. */
export const PUSH_KINDS = ['web-push', 'gateway'] as const;
export type PushKind = (typeof PUSH_KINDS)[number];

/** The push target of a device, as it registered it. */
export type PushTarget =
  | {
      readonly kind: 'web-push';
      /** URL of the subscription. */
      readonly endpoint: string;
      /** Of the subscription (RFC 8291), base64url. */
      readonly keys: { readonly p256dh: string; readonly auth: string };
    }
  | {
      readonly kind: 'gateway';
      /** What the gateway knows the device by: a token of APNs or FCM, for example. */
      readonly token: string;
      /** Which app or platform the token belongs to, for a gateway that serves several. */
      readonly app?: string;
    };
