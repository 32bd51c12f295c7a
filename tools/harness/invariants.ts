import type pg from 'pg';
import {
  type Finding,
  type Slice,
  auditConversations,
  auditNextConversations,
  auditNextKeyPackages,
} from '../../store/consistency/audit.ts';
import { RULES, type Rule } from '../../store/consistency/rules.ts';

const MINUTE_MS = 60_000;

/**
 * Holds a conversation against every rule of the consistency audit, in one snapshot, so that it may be called while writers are at
 * work.
 * @param isChecked chooses rules. @default all
 * @throws with each broken rule and its rows
 */
export async function checkInvariants(
  pool: pg.Pool,
  conversation: string,
  isChecked: (rule: Rule) => boolean = () => true,
): Promise<void> {
  const { rowCount } = await pool.query('select from conversation where id = $1 and deleted_at is null', [
    conversation,
  ]);
  if (rowCount === 0) throw new Error(`There is no conversation ${conversation} to check`);
  const { findings } = await auditConversations(pool, [conversation], { statementMs: MINUTE_MS });
  const broken = RULES.filter(isChecked).flatMap((rule) => describe(rule, findings));
  if (broken.length > 0) throw new Error(`Conversation ${conversation} is broken\n${broken.join('\n')}`);
}

/**
 * The same for the whole database, by the slices of the service's own audit: what every stress and chaos run does at its end.
 * @returns one line for each broken rule of each conversation
 */
export async function findInconsistencies(pool: pg.Pool): Promise<string[]> {
  const findings: Finding[] = [];
  const readAll = async (read: (after: string) => Promise<Slice>, first: string): Promise<void> => {
    for (let after: string | undefined = first; after !== undefined;) {
      const slice: Slice = await read(after);
      findings.push(...slice.findings);
      after = slice.next;
    }
  };
  const last = Number.MAX_SAFE_INTEGER;
  await readAll((after) => auditNextConversations(pool, { after, last }), '0');
  await readAll((after) => auditNextKeyPackages(pool, after), '');
  const lines = findings.map(
    ({ conversation, rule, details }) => `${conversation}: ${rule} ${JSON.stringify(details)}`,
  );
  return lines.length <= SHOWN ? lines : [...lines.slice(0, SHOWN), `.. and ${lines.length - SHOWN} more findings`];
}

/** Findings that are shown. */
const SHOWN = 20;

function describe({ name, invariant, about }: Rule, findings: readonly Finding[]): string[] {
  const found = findings.filter(({ rule }) => rule === name).map(({ details }) => details);
  if (found.length === 0) return [];
  const number = invariant === undefined ? '' : `invariant ${invariant}, `;
  return [`${number}${name}: ${about} ${JSON.stringify(found.slice(0, 5))} (${found.length} rows)`];
}
