import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import type pg from 'pg';
import type { ConversationFacts } from '../../domain/decision.ts';
import { decide } from '../decision/decide.ts';
import { type Row, onlyRow, text, time } from '../row.ts';

/**
 * Erasing a user begins with leaving all its conversations. Each is left by a decision of its own, so that no conversation
 * waits for another. The table `erasure` holds users who have not left all of them yet: the sweep goes on with these.
 */

/** Conversations that are left at the same time. */
const PARALLEL = 4;
/** Memberships of one read. */
const PAGE = 100;

/** Refusals of somebody who is no member. */
const NO_MEMBER: readonly string[] = ['removed', 'not-found'];

/** A user who is leaving all its conversations. */
export interface Erasure {
  readonly user: string;
  /** Memberships that began later stay: the user has come back. */
  readonly at: Date;
}

/** How one run of leaving ends. */
export interface ErasureRun {
  /** Called for each conversation that was left, with its state. */
  readonly onLeft?: (conversation: string, facts: ConversationFacts) => void;
  /** Called for a conversation that could not be left now. */
  readonly onFailure?: (conversation: string, error: unknown) => void;
  /** The run ends at this time; milliseconds since 1970. */
  readonly until: number;
  /** Most conversations of one run. */
  readonly limit: number;
}

/** Records that a user is being erased. From now on nothing is lost: what the caller does not do the sweep does. */
export async function beginErasure(pool: pg.Pool, user: string): Promise<Erasure> {
  const { rows } = await pool.query<Row>({
    name: 'begin-erasure',
    // In whole milliseconds, as JavaScript keeps times, and not before anything that is there already.
    text: `insert into erasure (user_id, at, tried_at)
      values ($1, to_timestamp(ceil(extract(epoch from clock_timestamp()) * 1000) / 1000), clock_timestamp())
      on conflict (user_id) do update set at = excluded.at, tried_at = excluded.tried_at returning at`,
    values: [user],
  });
  return { user, at: time(onlyRow(rows, 'begin-erasure'), 'at') };
}

/**
 * Leaves conversations of a user whose membership began before the erasure. Whatever a policy says, the user may leave; one
 * that fails does not stop the others. When none is left the erasure is forgotten.
 * @returns number of conversations that were left
 */
export async function continueErasure(pool: pg.Pool, { user, at }: Erasure, run: ErasureRun): Promise<number> {
  const parallel = pLimit(PARALLEL);
  let tried = 0;
  let left = 0;
  let failed = 0;
  const leave = async (conversation: string): Promise<void> => {
    if (isOver()) return;
    tried++;
    try {
      const operation = { kind: 'leave', id: `erase-${randomUUID()}`, actor: user, erase: true } as const;
      const { facts, outcomes } = await decide(pool, conversation, [operation], [], { deadline: run.until });
      const [outcome] = outcomes;
      // Otherwise somebody else ended the membership meanwhile.
      if (outcome?.status === 'refused' && !NO_MEMBER.includes(outcome.code)) throw new Error(outcome.code);
      left++;
      run.onLeft?.(conversation, facts);
    } catch (error) {
      failed++;
      run.onFailure?.(conversation, error);
    }
  };
  const isOver = (): boolean => tried >= run.limit || Date.now() >= run.until;
  let isComplete = false;
  let leftBefore = left;
  for (let after = ''; !isOver();) {
    const conversations = await listEarlierMemberships(pool, user, at, after);
    await parallel.map(conversations, leave);
    const last = conversations.at(-1);
    if (conversations.length === PAGE && last !== undefined) {
      after = last;
      continue;
    }
    // A reset that was decided meanwhile may have made a new conversation with the user.
    isComplete = left === leftBefore && failed === 0 && !isOver();
    if (left === leftBefore || failed > 0) break;
    leftBefore = left;
    after = '';
  }
  if (isComplete) await pool.query('delete from erasure where user_id = $1 and at = $2', [user, at]);
  return left;
}

/** Ids of conversations that a user is a member of since before a time, in order. */
async function listEarlierMemberships(pool: pg.Pool, user: string, before: Date, after: string): Promise<string[]> {
  const { rows } = await pool.query<Row>({
    name: 'list-earlier-memberships',
    // The joining entry has the time; members since the creation have none, and retention takes old ones.
    text: `select c.id from member m
      cross join lateral (select id, key, created_at, deleted_at from conversation where key = m.conversation limit 1) c
      where m.user_id = $1 and m.left_seq is null and c.deleted_at is null and c.id > $2 and c.created_at <= $3
        and coalesce((select at from entry where conversation = c.key and seq = m.joined_seq limit 1), c.created_at) <= $3
      order by c.id limit $4`,
    values: [user, after, before, PAGE],
  });
  return rows.map((row) => text(row, 'id'));
}

/** Erasures of one sweep. */
const SWEPT_USERS = 10;
/** Conversations of one user in one sweep. */
const SWEPT_CONVERSATIONS = 1000;
/** A request or a sweep may still be at work on an erasure that was tried so recently. */
const RUNNING_S = 60;
/** Time for one user in one sweep. */
const SWEEP_MS = 5000;

/** Goes on with erasures whose request has ended, the longest waiting first. @returns number of conversations left */
export async function sweepErasures(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<Row>(
    `update erasure set tried_at = clock_timestamp() where user_id = any (array(
       select user_id from erasure where tried_at is null or tried_at < statement_timestamp() - make_interval(secs => $2)
       order by tried_at nulls first limit $1 for update skip locked))
     returning user_id as user, at`,
    [SWEPT_USERS, RUNNING_S],
  );
  let left = 0;
  for (const row of rows) {
    const run = { until: Date.now() + SWEEP_MS, limit: SWEPT_CONVERSATIONS };
    left += await continueErasure(pool, { user: text(row, 'user'), at: time(row, 'at') }, run);
  }
  return left;
}
