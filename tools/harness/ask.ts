/** A request as a test states it. */
export interface Ask {
  readonly user?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is. */
  readonly raw?: string | Uint8Array;
}

/**
 * The request that `ask` sends, for any `fetch`.
 * @param what method and path: `GET /v1/conversations`
 * @param token gives the token of a user
 */
export async function requestOf(
  what: string,
  { user, body, headers = {}, raw }: Ask,
  token: (user: string) => Promise<string>,
): Promise<{ method: string; path: string; headers: Record<string, string>; redirect: 'manual'; body?: string }> {
  const [method = 'GET', path = '/'] = what.split(' ');
  const content = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  return {
    method,
    path,
    headers: {
      ...(user === undefined ? {} : { authorization: `Bearer ${await token(user)}` }),
      ...(content === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    redirect: 'manual',
    ...(content === undefined ? {} : { body: content as string }),
  };
}
