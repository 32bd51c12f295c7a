import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import type { StackOptions } from './options.ts';

export type TokenOptions = {
  secret: string;
  audience: string;
  user: string;
  device?: string;
  operator?: boolean;
  /** @default '24h' */
  expiresIn?: string;
};

/** A token for development. */
export function signToken(options: TokenOptions): Promise<string> {
  const { secret, audience, user, device, operator = false, expiresIn = '24h' } = options;
  const claims = { ...(device === undefined ? {} : { device }), ...(operator ? { scope: 'operator' } : {}) };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime(expiresIn)
    .sign(new TextEncoder().encode(secret));
}

/**
 * The secret of the local stack: the given one, else a random one kept in the data folder so that tokens outlive a restart.
 * Undefined when tokens come from somebody else (`JWT_JWKS_URL`, `JWT_PUBLIC_KEY_FILE`).
 */
export function developmentSecret({ dataDir, jwt }: Pick<StackOptions, 'dataDir' | 'jwt'>): string | undefined {
  if (jwt.secret !== undefined || jwt.external) return jwt.secret;
  const file = path.join(dataDir, 'jwt-secret');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    // Not there yet.
  }
  mkdirSync(dataDir, { recursive: true });
  const own = `${file}.${process.pid}`;
  writeFileSync(own, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  try {
    // Linked, not written: of two processes the first decides, and neither sees half a secret.
    linkSync(own, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return readFileSync(file, 'utf8').trim();
}
