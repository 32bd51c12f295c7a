import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SignJWT } from 'jose';
import type { StackOptions } from './options.ts';

export type TokenOptions = {
  secret: string;
  audience: string;
  /** @default none */
  issuer?: string | undefined;
  user: string;
  device?: string;
  operator?: boolean;
  /** @default '24h' */
  expiresIn?: string;
};

/** A token for development. */
export function signToken(options: TokenOptions): Promise<string> {
  const { secret, audience, issuer, user, device, operator = false, expiresIn = '24h' } = options;
  const claims = {
    ...(issuer === undefined ? {} : { iss: issuer }),
    ...(device === undefined ? {} : { device }),
    ...(operator ? { scope: 'operator' } : {}),
  };
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(user)
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime(expiresIn)
    .sign(new TextEncoder().encode(secret));
}

/**
 * The token secret of the local stack: `JWT_SECRET`, or else a random secret, with which tokens stay valid after a restart.
 * @returns undefined if an external issuer signs the tokens (`JWT_ISSUER`, `JWT_JWKS_URL`, `JWT_PUBLIC_KEY_FILE`)
 */
export function developmentSecret({ dataDir, jwt }: Pick<StackOptions, 'dataDir' | 'jwt'>): string | undefined {
  if (jwt.secret !== undefined || jwt.external) return jwt.secret;
  return keptSecret(dataDir, 'jwt-secret');
}

/** A random secret of the local stack, which is made once and kept in a file of the data folder. */
export function keptSecret(dataDir: string, name: string): string {
  const file = path.join(dataDir, name);
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    // The file does not exist yet.
  }
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (cause) {
    throw new Error(`PARLEY_DATA_DIR: nothing can be written to ${dataDir}.`, { cause });
  }
  const own = `${file}.${process.pid}`;
  writeFileSync(own, `${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  try {
    // Creating a link is atomic: if two processes start at once, both use the secret of the first, and never half a
    // secret.
    linkSync(own, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(own, { force: true });
  }
  return readFileSync(file, 'utf8').trim();
}
