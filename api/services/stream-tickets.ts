import { createHash, randomBytes, randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import { parseDeviceId, parseUserId } from '../../domain/ids.ts';
import { ALL_CONVERSATIONS, createTicket, openTicket } from '../../store/device/stream-tickets.ts';
import type { Caller } from '../http/caller.ts';

const TICKET_BYTES = 32;
const TICKET = /^[\w-]{43}$/;
/** Look-ups at a time. Anybody can send tickets that are none; with these, requests of users keep their connections. */
const PARALLEL = 4;
/** Look-ups that wait behind these. A process works off so many in about a second. */
const MOST_WAITING = 2000;

/** Tickets with which pages open streams, since a browser's EventSource can send no token. */
export interface StreamTickets {
  /**
   * Makes a ticket for one stream of the caller.
   * @param conversation its id; `undefined` = the stream of all conversations
   */
  readonly make: (
    caller: Caller,
    conversation: string | undefined,
  ) => Promise<{ readonly ticket: string; readonly expiresAt: Date }>;
  /**
   * Uses a ticket.
   * @param conversation of the stream that is asked for
   * @returns who made it; what its token may do besides, the ticket may not
   * @throws AppError `unauthenticated`, `overloaded`
   */
  readonly open: (ticket: string, conversation: string | undefined) => Promise<Caller>;
}

export function makeStreamTickets({
  pool,
  hashUser,
}: {
  readonly pool: pg.Pool;
  /** Replaces user ids in logs. */
  readonly hashUser: (user: string) => string;
}): StreamTickets {
  const limit = pLimit(PARALLEL);
  return {
    make: async ({ user, device, expiresAt, issuedAt }, conversation = ALL_CONVERSATIONS) => {
      const ticket = randomBytes(TICKET_BYTES).toString('base64url');
      const made = await createTicket(pool, {
        hash: hashOf(ticket),
        user,
        device,
        conversation,
        expiresAt,
        issuedAt,
      });
      return { ticket, expiresAt: made };
    },
    open: async (ticket, conversation = ALL_CONVERSATIONS) => {
      if (!TICKET.test(ticket)) throw refusal();
      if (limit.pendingCount >= MOST_WAITING) throw new AppError('overloaded', 'Too many tickets are looked up');
      const found = await limit(() => openTicket(pool, hashOf(ticket), conversation, randomUUID()));
      if (found === undefined) throw refusal();
      const { expiresAt, issuedAt, use } = found;
      const [user, device] = [parseUserId(found.user), parseDeviceId(found.device)];
      // Rules for ids became stricter since.
      if (user === undefined || device === undefined) throw refusal();
      return {
        user,
        device,
        isOperator: false,
        expiresAt,
        ...(issuedAt === undefined ? {} : { issuedAt }),
        pseudonym: hashUser(user),
        ticket: use,
      };
    },
  };
}

function hashOf(ticket: string): Buffer {
  return createHash('sha256').update(ticket).digest();
}

function refusal(): AppError {
  return new AppError('unauthenticated', 'The ticket is not valid for this stream, or not any more: get a new one');
}
