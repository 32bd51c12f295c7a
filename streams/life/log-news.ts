import type pg from 'pg';
import { AppError } from '../../domain/errors.ts';
import type { LifeEntry, LifeEvent, LifeHead, LookForNews } from '../../domain/life-event.ts';
import { type ConversationNow, readConversationNow } from '../../store/conversation/now.ts';
import { type EntryFacts, readEntryFacts } from '../../store/log/entry-facts.ts';

/** Entries that a new stream gets, and whose bodies are watched for deletion. */
export const KEPT_ENTRIES = 50;
/** Entries of one look: of more, the newest. */
const MOST_ENTRIES = 200;

/** Whether a reset is open is counted as often as this; between it, it is as it was. */
const COUNT_MS = 2000;

/** What the process that answers knows of a conversation by itself. */
export interface OwnFacts {
  readonly path: LifeHead['path'];
  readonly waiting: number;
  readonly inFlight: number;
}

export interface LogNewsDeps {
  readonly pool: pg.Pool;
  readonly own: (conversation: string) => OwnFacts;
  readonly incarnation: () => string | undefined;
}

/** Follows a conversation and its log in Postgres. It reads committed rows, so that it waits for nobody's lock. */
export function makeLogNews({ pool, own, incarnation }: LogNewsDeps): (conversation: string) => LookForNews {
  return (conversation) => {
    /** The newest entries that were told, by seq. */
    let kept = new Map<number, LifeEntry>();
    let told: string | undefined;
    let isResetOpen: boolean | undefined;
    let countedAt = -Infinity;

    const readNow = async (): Promise<ConversationNow> => {
      const isDue = performance.now() - countedAt >= COUNT_MS;
      const now = await readConversationNow(pool, conversation, isDue ? undefined : isResetOpen);
      if (now === undefined) throw new AppError('not-found');
      if (isDue) countedAt = performance.now();
      isResetOpen = now.state === 'reset-open';
      return now;
    };

    const headNews = (now: ConversationNow): LifeEvent[] => {
      const head = headOf(now, own(conversation), incarnation());
      const text = JSON.stringify(head);
      if (text === told) return [];
      told = text;
      return [{ type: 'head', at: Date.now(), ...head }];
    };
    /** Reads what was told too: its bodies may have been deleted, and the log may be another one. */
    const readOn = async (): Promise<readonly LifeEntry[]> => {
      const [from, newest] = [Math.min(...kept.keys()), Math.max(...kept.keys())];
      const found = await read({ from, limit: MOST_ENTRIES });
      if (found.some(({ seq }) => kept.has(seq))) return found;
      // So many are new that none of the others is among them.
      return [...(await read({ from: newest, to: newest, limit: 1 })), ...found];
    };
    const read = async (part: Parameters<typeof readEntryFacts>[2]): Promise<readonly LifeEntry[]> =>
      (await readEntryFacts(pool, conversation, part)).map(entryOf);
    const readNewest = (): Promise<readonly LifeEntry[]> => read({ from: 1, limit: KEPT_ENTRIES });
    const isOtherLog = (found: readonly LifeEntry[], lastSeq: number): boolean =>
      [...kept.keys()].some((seq) => seq > lastSeq) || found.some((entry) => isOther(entry, kept));
    const isNews = ({ seq, deleted }: LifeEntry): boolean => !kept.has(seq) || kept.get(seq)?.deleted !== deleted;

    return async () => {
      const now = await readNow();
      const { lastSeq, oldestSeq } = now;
      // Read after the head: so every entry that the head tells of is there.
      const found = await (kept.size === 0 ? readNewest() : readOn());
      const isRestarted = isOtherLog(found, found.at(-1)?.seq ?? lastSeq);
      const entries = isRestarted ? await readNewest() : found;
      // From here on nothing fails: what is noted as told is told.
      const restarted: LifeEvent[] = isRestarted
        ? [{ type: 'log-restarted', at: Date.now(), lastSeq: entries.at(-1)?.seq ?? lastSeq, oldestSeq }]
        : [];
      const fresh = isRestarted ? entries : entries.filter(isNews);
      kept = new Map(entries.slice(-KEPT_ENTRIES).map((entry) => [entry.seq, entry]));
      return [...headNews(now), ...restarted, ...fresh];
    };
  };
}

/** Whether another entry than this one was told with its seq. */
function isOther({ seq, at, sha256, chain }: LifeEntry, kept: ReadonlyMap<number, LifeEntry>): boolean {
  const before = kept.get(seq);
  return before !== undefined && (before.sha256 !== sha256 || before.chain !== chain || before.at !== at);
}

function headOf(
  { chain, retentionDays, commitRetentionDays, dueAt, staged, increments, ...now }: ConversationNow,
  { path, ...mailbox }: OwnFacts,
  incarnation: string | undefined,
): Omit<LifeHead, 'type' | 'at'> {
  const commits = commitRetentionDays === null ? {} : { commitDays: commitRetentionDays };
  return {
    ...now,
    ...(chain === null ? {} : { chain: base64(chain) }),
    mailbox: { ...mailbox, staged, increments },
    path,
    ...(retentionDays === null ? {} : { retention: { days: retentionDays, ...commits } }),
    ...(dueAt === null ? {} : { dueAt: dueAt.getTime() }),
    ...(incarnation === undefined ? {} : { incarnation }),
  };
}

function entryOf({ seq, kind, epoch, bytes, isDeleted, sha256, chain, sender, at }: EntryFacts): LifeEntry {
  return {
    type: 'entry',
    at: at.getTime(),
    seq,
    kind,
    epoch,
    ...(bytes === null ? { deleted: isDeleted ? 'deleted' : 'expired' } : { bytes }),
    sha256: Buffer.from(sha256).toString('hex'),
    ...(chain === null ? {} : { chain: base64(chain) }),
    ...(sender === null ? {} : { sender }),
  };
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
