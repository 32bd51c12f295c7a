import { signToken } from '../../local/development-token.ts';

/** The secret of every service under load; a development secret, since tokens are made here. */
export const LOAD_SECRET = 'load-secret-load-secret-load-secret-0123456789';
const AUDIENCE = 'parley';

/** The user with this number. */
export function userName(number: number): string {
  return `user-${number}`;
}

/** `Authorization` headers of users 0 to `count` - 1, made ahead of the load. */
export function makeTokens(count: number): Promise<string[]> {
  return makeTokensOf(Array.from({ length: count }, (_, number) => userName(number)));
}

/** `Authorization` headers of these users, in their order. */
export function makeTokensOf(users: readonly string[]): Promise<string[]> {
  return Promise.all(
    users.map(async (user) => `Bearer ${await signToken({ secret: LOAD_SECRET, audience: AUDIENCE, user })}`),
  );
}
