import { randomBytes } from 'node:crypto';
import { rememberTokens } from '../harness/tokens.ts';
import { expectStatus, makeHttpSender } from '../load/http-sender.ts';
import { MESSAGE_BYTES, makeMessageBodies, messagesPath } from '../load/messages.ts';
import { userName } from '../load/tokens.ts';

/** One API process under measurement, with the processes that work for it. Users are numbers. */
export interface Entrance {
  readonly url: string;
  /** Process name -> pid. */
  readonly pids: Readonly<Record<string, number>>;
  /** Sends a new message. @throws Error unless it is accepted */
  readonly send: (conversation: string, user: number) => Promise<void>;
  /** Sends a commit of an `opaque` conversation. @throws Error unless it is accepted */
  readonly commit: (conversation: string, user: number) => Promise<void>;
  /** @returns the body. @throws Error unless the answer is 200 */
  readonly get: (path: string, user: number) => Promise<string>;
  /** @returns the body. @throws Error unless the answer is 200 */
  readonly post: (path: string, user: number, body: unknown) => Promise<string>;
  /** `Authorization` of a user. */
  readonly token: (user: number) => Promise<string>;
  readonly close: () => Promise<void>;
}

/** Enough for every job: none has more senders. */
const CONNECTIONS = 128;

export function openEntrance(url: string, pids: Readonly<Record<string, number>>): Entrance {
  const http = makeHttpSender(url, CONNECTIONS);
  const tokenOf = rememberTokens();
  const makeBody = makeMessageBodies();
  const prefix = randomBytes(6).toString('hex');
  let count = 0;
  const token = async (user: number): Promise<string> => `Bearer ${await tokenOf(userName(user))}`;
  const post = async (path: string, user: number, body: string): Promise<string> =>
    expectStatus(await http.post(path, await token(user), body));
  return {
    url,
    pids,
    token,
    send: async (conversation, user) => {
      await post(messagesPath(conversation), user, makeBody(`${prefix}-${count++}`));
    },
    commit: async (conversation, user) => {
      const commit = randomBytes(MESSAGE_BYTES).toString('base64');
      await post(
        `/v1/conversations/${conversation}/commits`,
        user,
        JSON.stringify({ id: `${prefix}-${count++}`, commit }),
      );
    },
    get: async (path, user) => expectStatus(await http.get(path, await token(user))),
    post: (path, user, body) => post(path, user, JSON.stringify(body)),
    close: () => http.close(),
  };
}
