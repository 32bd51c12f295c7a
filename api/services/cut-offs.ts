import type { Logger } from 'pino';
import type pg from 'pg';
import { type CutOff, readCutOffs } from '../../store/off-boarding/off-boardings.ts';
import type { Caller } from '../http/caller.ts';

/** How often a process looks for users who were cut off. Streams end within 2 s. */
const EVERY_MS = 500;
/** A change becomes visible when its transaction commits: at most this long after the time in its row. */
const MAX_COMMIT_DELAY_MS = 15_000;

/** Users and devices that an operator has removed from everywhere. Their tokens are still valid, and get them nothing. */
export interface CutOffs {
  readonly refuses: (caller: Pick<Caller, 'user' | 'device' | 'issuedAt'>) => boolean;
  /** Reads what has changed until now. Calls that come while one reads share the next one. */
  readonly look: () => Promise<void>;
  /** Makes the next look read everything, and forget what is not found. */
  readonly forgetAll: () => void;
}

/**
 * What this process knows of cut-offs. The deciding transaction judges sends by itself, at once; this is for reads, streams and what belongs to no
 * conversation.
 */
export function makeCutOffs(pool: pg.Pool): CutOffs {
  const users = new Set<string>();
  /** By user and device: when it was cut off. */
  const devices = new Map<string, number>();
  let readTo = 0;
  /** How often everything was to be forgotten, and how often it was. */
  const forgets = { wanted: 0, done: 0 };
  const apply = ({ user, device, isStanding, startedAt }: CutOff): void => {
    if (device === '' && isStanding) users.add(user);
    else if (device === '') users.delete(user);
    else if (isStanding) devices.set(nameOf(user, device), startedAt);
    else devices.delete(nameOf(user, device));
  };
  const read = async (): Promise<void> => {
    const { wanted } = forgets;
    const isForgetting = wanted !== forgets.done;
    const changes = await readCutOffs(pool, isForgetting ? 0 : Math.max(0, readTo - MAX_COMMIT_DELAY_MS));
    if (isForgetting) {
      forgets.done = wanted;
      readTo = 0;
      users.clear();
      devices.clear();
    }
    for (const change of changes) {
      apply(change);
      readTo = Math.max(readTo, change.changedAt);
    }
  };
  let running: Promise<unknown> = Promise.resolve();
  let next: Promise<void> | undefined;
  const readNext = (): Promise<void> => {
    next = undefined;
    const reading = read();
    running = reading.catch(() => undefined);
    return reading;
  };
  return {
    refuses: ({ user, device, issuedAt }) => {
      if (users.has(user)) return true;
      const since = devices.size === 0 ? undefined : devices.get(nameOf(user, device));
      // A token that was issued later is a new login.
      return since !== undefined && !(issuedAt !== undefined && issuedAt > since);
    },
    look: () => (next ??= running.then(readNext)),
    forgetAll: () => void (forgets.wanted += 1),
  };
}

/** Has this process know of what has changed until now. If it cannot read that, a later look does. */
export async function learnCutOffs(cutOffs: Pick<CutOffs, 'look'>, log: Logger): Promise<void> {
  await cutOffs.look().catch((error: unknown) => log.debug({ err: error }, 'cut-offs not read'));
}

/** Looks regularly. @returns ends it */
export function watchCutOffs(cutOffs: CutOffs, log: Logger): () => void {
  const timer = setInterval(() => void learnCutOffs(cutOffs, log), EVERY_MS);
  return () => clearInterval(timer);
}

/** A NUL can separate the parts, because ids have no control characters. */
function nameOf(user: string, device: string): string {
  return `${user}\0${device}`;
}
