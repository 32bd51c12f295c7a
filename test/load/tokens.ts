import { signToken } from '../../ops/stack/development-token.ts';

/** The secret of every service under load; a development secret, since tokens are made here. */
export const LOAD_SECRET = 'load-secret-load-secret-load-secret-0123456789';
const AUDIENCE = 'parley';

/** The user with this number. */
export function userName(number: number): string {
  return `user-${number}`;
}

/** `Authorization` headers of users 0 to `count` - 1, made ahead of the load. */
export function makeTokens(count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, number) => {
      return `Bearer ${await signToken({ secret: LOAD_SECRET, audience: AUDIENCE, user: userName(number) })}`;
    }),
  );
}
