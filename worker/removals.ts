import type { Logger } from 'pino';
import { type RemovalProposalDeps, issueRemoval } from '../activities/removal-proposals.ts';
import type { RemovalNews } from '../store/off-boarding/removals.ts';
import { takeRemovals } from '../store/off-boarding/removals.ts';
import { type OpenOffBoardings, countOpenOffBoardings } from '../store/off-boarding/off-boardings.ts';

/** How often the worker looks for removals without proposals in the current epoch. One look-up by an index. */
const EVERY_MS = 1000;
/** Removals of one look. */
const LIMIT = 20;
const COUNT_EVERY_MS = 30_000;

export interface RemovalLoopDeps extends Omit<RemovalProposalDeps, 'onSealed'> {
  readonly log: Logger;
  /** Called for each conversation that changed. */
  readonly onChanged: (conversation: string, news: RemovalNews) => void;
}

export interface RemovalLoop {
  /** Off-boardings that are not done, for the metrics. */
  readonly open: () => OpenOffBoardings;
  readonly close: () => Promise<void>;
}

/**
 * Proposes removals in every epoch until they are obeyed. Each commit of a group makes its proposals stale, so this follows the log and not
 * the workflow of an off-boarding, which may sleep. Several workers share the work: a removal is taken by one of them.
 */
export function startRemovalLoop(deps: RemovalLoopDeps): RemovalLoop {
  const { pool, log } = deps;
  let open: OpenOffBoardings = { open: 0, oldestSeconds: 0 };
  let countedAt = -Infinity;
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  const onSealed = (error: unknown): void => {
    log.error({ err: error }, 'the key of the external sender cannot be opened: is EXTERNAL_SENDER_KEY another one?');
  };
  const look = async (): Promise<void> => {
    if (performance.now() - countedAt > COUNT_EVERY_MS) {
      open = await countOpenOffBoardings(pool);
      countedAt = performance.now();
    }
    for (;;) {
      const removals = await takeRemovals(pool, LIMIT);
      for (const removal of removals) {
        if (isClosed) return;
        try {
          const news = await issueRemoval({ ...deps, onSealed }, removal);
          if (news !== undefined) deps.onChanged(removal.conversation, news);
        } catch (error) {
          log.warn({ err: error, conversation: removal.conversation }, 'a removal was not proposed yet');
        }
      }
      if (removals.length < LIMIT || isClosed) return;
    }
  };
  const run = async (): Promise<void> => {
    await look().catch((error: unknown) => log.debug({ err: error }, 'removals not read'));
    if (!isClosed) {
      timer = setTimeout(() => {
        running = run();
      }, EVERY_MS);
    }
  };
  let running = run();
  return {
    open: () => open,
    close: async () => {
      isClosed = true;
      clearTimeout(timer);
      await running;
    },
  };
}
