import pLimit from 'p-limit';
import type pg from 'pg';
import { listRestarts } from '../../../store/supervision/actions.ts';
import { findInconsistencies } from '../../harness/invariants.ts';
import { LURKER, type Load } from '../load/load.ts';
import type { Audience } from '../streams/audience.ts';
import { judgeAnswers } from './answers.ts';
import { judgeLeftovers } from './leftovers.ts';
import { type Row, judgeLog, readRows } from './log.ts';
import { judgeMembers } from './members.ts';
import { judgeStreams } from './streams.ts';
import { judgeUnread } from './unread.ts';

/** What a recount of everything that was acknowledged found. */
export interface Verdict {
  readonly acknowledged: number;
  readonly increments: number;
  readonly claims: number;
  readonly streamed: number;
  /** Staged rows that only the sweep takes. */
  readonly orphans: number;
  /** Runs that the supervisor replaced. */
  readonly supervised: number;
  /** Empty = nothing was lost, doubled, reordered or miscounted. */
  readonly problems: readonly string[];
}

const A_DAY_MS = 86_400_000;
const AT_ONCE = 4;
/** Of one kind; the others are counted. */
const SHOWN = 5;

/** Compares all that the service acknowledged with what it has and says now. Call it when the load has stopped. */
export async function judge(load: Load, pool: pg.Pool, audience?: Audience): Promise<Verdict> {
  const { ledger, people, tries } = load;
  const problems = [...limited(tries.givenUp.map((line) => `given up: ${line}`)), ...limited(ledger.objections)];
  const logs = new Map<string, readonly Row[]>();
  const leftovers = await judgeLeftovers(pool);
  await pLimit(AT_ONCE).map([...ledger.books.values()], async (book) => {
    const rows = await readRows(pool, book.conversation);
    logs.set(book.conversation, rows);
    const found = [
      ...judgeLog(book, rows),
      ...(await orReason(judgeUnread(people, book, rows))),
      ...(await orReason(judgeAnswers(people, book, rows, LURKER))),
      ...(await orReason(judgeMembers(people, book, LURKER))),
    ];
    problems.push(...limited(found).map((line) => `${book.conversation}: ${line}`));
  });
  problems.push(...(await orReason(findInconsistencies(pool))));
  if (audience !== undefined) problems.push(...limited(await judgeStreams(audience, ledger, logs)));
  const books = [...ledger.books.values()];
  const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
  const sequences = [
    ...(audience?.conversations ?? []).map(({ sequence }) => sequence),
    ...(audience?.accounts ?? []).flatMap(({ sequences: all }) => [...all.values()]),
  ];
  return {
    acknowledged: sum(books.map(({ attempts }) => attempts.filter(({ seq }) => seq !== undefined).length)),
    increments: sum(books.flatMap((book) => [...book.increments.values()])),
    claims: ledger.claimed.size,
    streamed: sum(sequences.map(({ entries }) => entries.size)),
    orphans: leftovers.orphans,
    supervised: (await listRestarts(pool, { withinMs: A_DAY_MS, limit: 10_000 })).length,
    problems: [...problems, ...leftovers.problems],
  };
}

/** What cannot be looked up, for example because the whole conversation is lost, is a problem like the others. */
function orReason(problems: Promise<string[]>): Promise<string[]> {
  return problems.catch((error: unknown) => [String(error)]);
}

function limited(problems: readonly string[]): string[] {
  if (problems.length <= SHOWN) return [...problems];
  return [...problems.slice(0, SHOWN), `.. and ${problems.length - SHOWN} more`];
}
