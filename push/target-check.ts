import { createECDH } from 'node:crypto';
import type { PushTarget } from '../domain/push.ts';
import type { PushSettings } from '../process/push-settings.ts';
import { addressIn } from './addresses.ts';

const P256DH_BYTES = 65;
const UNCOMPRESSED = 4;
const AUTH_BYTES = 16;

/**
 * Why the service takes no such target: no wake-up could reach it, or none may be sent there.
 * @returns `undefined` = it is taken
 */
export function targetProblem(settings: PushSettings, target: PushTarget): string | undefined {
  if (target.kind === 'gateway') return settings.gateway === undefined ? 'This service has no push gateway' : undefined;
  if (settings.webPush === undefined) return 'This service sends no Web Push';
  const { endpoint } = target;
  if (!URL.canParse(endpoint)) return 'The endpoint is no URL';
  const { protocol, hostname, port, username, password } = new URL(endpoint);
  if (username !== '' || password !== '') return 'The endpoint has a user or a password';
  if (!settings.webPush.hosts.some((host) => hostname === host || hostname.endsWith(`.${host}`))) {
    return 'This service sends no wake-ups to this host';
  }
  // A host that the configuration names by its address, or as localhost, is for development.
  const isDevelopment = hostname === 'localhost' || addressIn(hostname) !== undefined;
  const isDefault = protocol === 'https:' && port === '';
  if (!isDefault && !(isDevelopment && (protocol === 'https:' || protocol === 'http:'))) {
    return 'The endpoint is not https on the default port';
  }
  return undefined;
}

/** Whether these are keys of a subscription (RFC 8291): a point of P-256, and a secret of 16 bytes. Base64url. */
export function areSubscriptionKeys({ p256dh, auth }: { readonly p256dh: string; readonly auth: string }): boolean {
  return isPoint(Buffer.from(p256dh, 'base64url')) && Buffer.from(auth, 'base64url').length === AUTH_BYTES;
}

function isPoint(bytes: Buffer): boolean {
  if (bytes.length !== P256DH_BYTES || bytes[0] !== UNCOMPRESSED) return false;
  const own = createECDH('prime256v1');
  own.generateKeys();
  try {
    own.computeSecret(bytes);
    return true;
  } catch {
    return false;
  }
}
