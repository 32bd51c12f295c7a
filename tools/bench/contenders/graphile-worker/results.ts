import pg from 'pg';
import type { PeerCommand, PeerOutcome } from '../command.ts';
import { entryKind } from '../plain-sql/transaction.ts';
import { answer } from '../verdict.ts';
import { RESULTS, type Result } from './job.ts';

/** A notification may be lost: after this time the log is asked, and again after it. */
const POLL_MS = 1000;
const FIND = `select e.seq, e.epoch, e.at from entry e join conversation c on c.key = e.conversation
  where c.id = $1 and e.message_id = $2 and e.kind = $3 and e.sha256 = $4 and e.sender = $5`;

/** Waits for the results of jobs. */
export interface Results {
  /** @param deadline milliseconds since 1970. @throws Error after it */
  readonly of: (request: string, command: PeerCommand, deadline: number) => Promise<PeerOutcome>;
  readonly fail: (request: string, error: unknown) => void;
  readonly close: () => Promise<void>;
}

interface Waiting {
  readonly command: PeerCommand;
  readonly since: number;
  readonly deadline: number;
  readonly resolve: (outcome: PeerOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Listens for results on a connection of its own. */
export async function listenForResults(url: string, pool: pg.Pool): Promise<Results> {
  const waiting = new Map<string, Waiting>();
  const settle = ({ request, outcome }: Result): void => {
    waiting.get(request)?.resolve(outcome);
    waiting.delete(request);
  };
  const fail = (request: string, error: unknown): void => {
    waiting.get(request)?.reject(error);
    waiting.delete(request);
  };
  const session = new pg.Client({ connectionString: url, keepAlive: true });
  session.on('notification', ({ payload = '{}' }) => settle(JSON.parse(payload) as Result));
  await session.connect();
  await session.query(`listen ${RESULTS}`);

  const poll = async (): Promise<void> => {
    const now = Date.now();
    for (const [request, { command, since, deadline }] of [...waiting]) {
      if (now - since < POLL_MS) continue;
      if (now > deadline) {
        fail(request, new Error('The job took too long'));
        continue;
      }
      const { conversation, id, sha256, user } = command;
      const values = [conversation, id, entryKind(command), Buffer.from(sha256, 'hex'), user];
      const { rows } = await pool.query<{ seq: number; epoch: number; at: Date }>({ name: 'find', text: FIND, values });
      const [entry] = rows;
      if (entry !== undefined) settle({ request, outcome: answer(command, 'accepted', entry) });
    }
  };
  const timer = setInterval(() => void poll().catch(() => undefined), POLL_MS);
  return {
    of: (request, command, deadline) =>
      new Promise((resolve, reject) => {
        waiting.set(request, { command, since: Date.now(), deadline, resolve, reject });
      }),
    fail,
    close: async () => {
      clearInterval(timer);
      await session.end();
    },
  };
}
