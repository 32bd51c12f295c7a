import { tokenOf } from '../harness/tokens.ts';

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
  return Promise.all(users.map(async (user) => `Bearer ${await tokenOf(user)}`));
}
