import { createECDH } from 'node:crypto';
import { own } from '../domain/own.ts';

/** What the configuration says of wake-ups (docs/how-to/push/README.md). */
export interface PushSettings {
  /** Absent = no Web Push. */
  readonly webPush: WebPushSettings | undefined;
  /** Absent = no gateway. */
  readonly gateway: { readonly url: string; readonly secret: string } | undefined;
  /** Networks (CIDR) that wake-ups may go to, beside all public addresses. */
  readonly networks: readonly string[];
  /** What a wake-up says beside "there is something". */
  readonly content: { readonly unread: boolean; readonly conversation: boolean };
}

export interface WebPushSettings {
  /** VAPID keys (RFC 8292), base64url. */
  readonly publicKey: string;
  readonly privateKey: string;
  /** `mailto:` or `https:`, for the operators of push services. */
  readonly subject: string;
  /** Endpoints may have these hosts, and hosts below them. */
  readonly hosts: readonly string[];
}

/** Values of the variables that begin with `PUSH_`. */
export interface PushValues {
  readonly PUSH_VAPID_PRIVATE_KEY: string | undefined;
  readonly PUSH_VAPID_SUBJECT: string | undefined;
  readonly PUSH_WEB_HOSTS: readonly string[];
  readonly PUSH_GATEWAY_URL: string | undefined;
  readonly PUSH_GATEWAY_SECRET: string | undefined;
  readonly PUSH_NETWORKS: readonly string[] | undefined;
  readonly PUSH_CONTENT: 'nothing' | 'unread' | 'conversation' | 'all';
}

/** Sends and takes no wake-ups. */
export const NO_PUSH: PushSettings = {
  webPush: undefined,
  gateway: undefined,
  networks: [],
  content: { unread: false, conversation: false },
};

/** Variables that only work together: what is set without the other is a problem. */
const PAIRS = [
  ['PUSH_VAPID_PRIVATE_KEY', 'PUSH_VAPID_SUBJECT'],
  ['PUSH_GATEWAY_URL', 'PUSH_GATEWAY_SECRET'],
] as const;

/** @param given the variables that are set. @returns one sentence for each problem */
export function pushProblems(given: Readonly<Record<string, string | undefined>>): string[] {
  const isSet = (name: string): boolean => own(given, name) !== undefined;
  const problems = PAIRS.filter(([one, other]) => isSet(one) !== isSet(other)).map(([one, other]) =>
    isSet(one) ? `${one} is set without ${other}` : `${other} is set without ${one}`,
  );
  const url = own(given, 'PUSH_GATEWAY_URL') ?? '';
  if (URL.canParse(url) && !isSafe(new URL(url))) {
    problems.push('PUSH_GATEWAY_URL must start with https:// (http:// is for 127.0.0.1, [::1] and localhost)');
  }
  return problems;
}

const LOOPBACK: ReadonlySet<string> = new Set(['127.0.0.1', '[::1]', 'localhost']);

function isSafe({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || LOOPBACK.has(hostname);
}

export function pushSettings(values: PushValues): PushSettings {
  const { PUSH_VAPID_PRIVATE_KEY: privateKey, PUSH_VAPID_SUBJECT: subject } = values;
  const { PUSH_GATEWAY_URL: url, PUSH_GATEWAY_SECRET: secret, PUSH_CONTENT: content } = values;
  return {
    webPush:
      privateKey === undefined || subject === undefined
        ? undefined
        : { privateKey, publicKey: vapidPublicKey(privateKey), subject, hosts: values.PUSH_WEB_HOSTS },
    gateway: url === undefined || secret === undefined ? undefined : { url, secret },
    networks: values.PUSH_NETWORKS ?? [],
    content: {
      unread: content === 'unread' || content === 'all',
      conversation: content === 'conversation' || content === 'all',
    },
  };
}

/** The VAPID public key that belongs to a private key, both base64url. */
export function vapidPublicKey(privateKey: string): string {
  const key = createECDH('prime256v1');
  key.setPrivateKey(Buffer.from(privateKey, 'base64url'));
  return key.getPublicKey().toString('base64url');
}
