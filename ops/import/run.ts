import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import type pg from 'pg';
import { ensureError } from '../../domain/errors.ts';
import { type ConvertOptions, convert } from './convert.ts';
import { importDevices } from './devices.ts';
import { type FindingLine, type Findings, collectFindings } from './findings.ts';
import { conversationIdOf } from './ids.ts';
import { type Original, inSnapshot } from './original.ts';
import { countImported, isTouched, prepareProgress, readProgress, writeProgress } from './progress.ts';
import { listConversations, readConversation } from './read-conversation.ts';
import { beginConversation, endConversation, removeConversation, writeEntries } from './write-conversation.ts';

export interface ImportOptions extends ConvertOptions {
  /** Writes nothing, and says what an import would find. */
  readonly dryRun: boolean;
  /** Conversations at the same time. Memory grows with it: about 20 MB for each. */
  readonly parallel: number;
}

export interface ImportReport {
  readonly dryRun: boolean;
  readonly seconds: number;
  /** Conversations of the original by what was done. */
  readonly imported: number;
  readonly replaced: number;
  readonly unchanged: number;
  readonly leftOut: number;
  /** Of the conversations that were imported or replaced by this run. */
  readonly entries: number;
  readonly bytes: number;
  readonly members: number;
  readonly welcomes: number;
  readonly devices: number;
  readonly keyPackages: number;
  readonly findings: readonly FindingLine[];
  /** Tables of the original that are not carried, with their rows (an estimate; -1 = unknown). */
  readonly notCarried: Readonly<Record<string, number>>;
  /** Over everything that was imported until now: what should be in the log, and what is. */
  readonly check: { readonly conversations: number; readonly entries: number; readonly stored: number } | undefined;
}

export interface ImportDeps {
  readonly original: Original;
  /** Of Parley's database, migrated; with at least `parallel` + 1 connections and a long statement timeout. */
  readonly pool: pg.Pool;
  readonly options: ImportOptions;
  readonly say?: (line: string) => void;
  /** Ends the run after the conversations that are being written. */
  readonly signal?: AbortSignal;
}

const CARRIED = new Set([
  'conversations',
  'members',
  'messages',
  'welcome_messages',
  'conversation_policy',
  'devices',
  'key_packages',
]);
const PAGE = 200;

type Done = 'imported' | 'replaced' | 'unchanged' | 'left-out';

interface Totals {
  entries: number;
  bytes: number;
  members: number;
  welcomes: number;
}

/** Imports everything that is not imported yet, or that has changed since. Each conversation is one transaction. */
export async function runImport({
  original,
  pool,
  options,
  say = () => undefined,
  signal,
}: ImportDeps): Promise<ImportReport> {
  const startedAt = performance.now();
  const findings = collectFindings();
  const done: Record<Done, number> = { imported: 0, replaced: 0, unchanged: 0, 'left-out': 0 };
  const totals: Totals = { entries: 0, bytes: 0, members: 0, welcomes: 0 };
  const hasProgress = options.dryRun ? await hasImportSchema(pool) : await prepareProgress(pool).then(() => true);
  const limit = pLimit(options.parallel);
  for (let after = ''; signal?.aborted !== true;) {
    const ids = await listConversations(original, after, PAGE);
    await limit.map(ids, async (id) => {
      if (signal?.aborted === true) return;
      const what = await importOne({ original, pool, options, findings, totals, hasProgress }, id).catch(
        (error: unknown) => {
          findings.add('failed', `${id} (${ensureError(error).message})`);
          return 'left-out' as const;
        },
      );
      done[what]++;
    });
    after = ids.at(-1) ?? after;
    if (ids.length < PAGE) break;
    say(`import: ${Object.values(done).reduce((sum, n) => sum + n)} conversations, ${totals.entries} entries`);
  }
  const { devices, keyPackages } = await importDevices({ original, pool, dryRun: options.dryRun, findings, signal });
  const tables = await original.tables();
  return {
    dryRun: options.dryRun,
    seconds: (performance.now() - startedAt) / 1000,
    imported: done.imported,
    replaced: done.replaced,
    unchanged: done.unchanged,
    leftOut: done['left-out'],
    ...totals,
    devices,
    keyPackages,
    findings: findings.lines(),
    notCarried: Object.fromEntries([...tables].filter(([name]) => !CARRIED.has(name))),
    check: options.dryRun ? undefined : await countImported(pool),
  };
}

interface One {
  readonly original: Original;
  readonly pool: pg.Pool;
  readonly options: ImportOptions;
  readonly findings: Findings;
  readonly totals: Totals;
  readonly hasProgress: boolean;
}

async function importOne(one: One, id: string): Promise<Done> {
  const { original, pool, options, hasProgress } = one;
  return inSnapshot(original, async (reader) => {
    const from = await readConversation(original, reader, id);
    if (from === undefined) return 'left-out';
    const stamp = createHash('sha256')
      .update(JSON.stringify([from.stamp, options.retentionDays ?? null]))
      .digest('hex');
    const before = hasProgress ? await readProgress(pool, id) : undefined;
    if (before?.stamp === stamp) return 'unchanged';
    const target = conversationIdOf(id, from.groupId);
    if (target === undefined) return leftOut(one, 'bad-id', id);
    const findings = collectFindings();
    let bytes = 0;
    if (options.dryRun) {
      const plan = await convert(original, reader, from, {
        ...options,
        withBodies: false,
        findings,
        write: () => Promise.resolve(),
      });
      count(one, plan, bytes, findings);
      return before === undefined ? 'imported' : 'replaced';
    }
    const writer = await pool.connect();
    let failed = true;
    try {
      await writer.query('begin');
      // The original may sort for long before it gives its first message.
      await writer.query('set local idle_in_transaction_session_timeout = 0');
      if (before !== undefined) {
        if (await isTouched(writer, before)) return leftOut(one, 'changed-on-both-sides', id);
        await removeConversation(writer, before.key);
      }
      const key = await beginConversation(writer, target);
      if (key === undefined) return leftOut(one, 'taken', id);
      const converted = await convert(original, reader, from, {
        ...options,
        withBodies: true,
        findings,
        write: async (entries) => {
          bytes += entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
          await writeEntries(writer, key, entries);
        },
      });
      await endConversation(writer, key, converted);
      await writeProgress(writer, id, { key, stamp, lastSeq: converted.end.seq, epoch: converted.epoch });
      await writer.query('commit');
      failed = false;
      count(one, converted, bytes, findings);
      return before === undefined ? 'imported' : 'replaced';
    } finally {
      if (failed) await writer.query('rollback').catch(() => undefined);
      writer.release();
    }
  });
}

function leftOut({ findings }: One, finding: 'bad-id' | 'taken' | 'changed-on-both-sides', id: string): Done {
  findings.add(finding, id);
  return 'left-out';
}

/** Counts a conversation once it is written. */
function count(
  { totals, findings }: One,
  { end, members, welcomes }: Awaited<ReturnType<typeof convert>>,
  bytes: number,
  found: Findings,
): void {
  totals.entries += end.seq;
  totals.bytes += bytes;
  totals.members += members.filter(({ left }) => left === null).length;
  totals.welcomes += welcomes.length;
  findings.join(found);
}

async function hasImportSchema(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query<{ found: boolean }>(
    `select to_regclass('parley_import.conversation') is not null as found`,
  );
  return rows[0]?.found ?? false;
}
