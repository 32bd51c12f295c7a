import type { Chat } from '../../client/index.ts';
import { type CheckOf, MOST_COMPARED, RunningCheck, type Verdict } from './check.ts';
import type { WindowReport } from './window-report.ts';

/** What windows tell each other. */
export type Told =
  | { readonly report: WindowReport }
  /** The window is closed, or shows another conversation. */
  | { readonly bye: string };

export interface WatchOptions extends CheckOf {
  readonly chat: Pick<Chat, 'on' | 'history' | 'state'>;
  readonly isCut: () => boolean;
  readonly tell: (told: Told) => void;
  readonly onVerdict: (verdict: Verdict | undefined) => void;
  readonly now: () => number;
}

/** A conversation that a window watches. */
export interface Watch {
  /** Something may have changed that the chat does not tell. */
  readonly look: () => void;
  readonly hear: (told: Told) => void;
  /** Says what is known now, which time alone may change. */
  readonly judge: () => void;
  /** Tells the others what this window has read, also if they know it. */
  readonly report: () => void;
  readonly bye: () => void;
  readonly end: () => void;
}

/** Lets the running check see what the chat tells, and what other windows do. */
export function watch({ chat, isCut, tell, onVerdict, now, ...of }: WatchOptions): Watch {
  const { window, conversation } = of;
  const check = new RunningCheck(of);
  let isLooking = false;
  let isStale = false;
  let isOver = false;
  let hasLooked = false;
  let reported = '';

  const judge = (): void => {
    if (!isOver) onVerdict(check.verdict(now()));
  };
  const report = (isAgain: boolean): void => {
    if (isOver || !hasLooked) return;
    const found = check.report(now());
    const text = JSON.stringify(found);
    if (isAgain || text !== reported) tell({ report: found });
    reported = text;
  };
  const see = async (): Promise<void> => {
    const messages = await chat.history(conversation, { limit: MOST_COMPARED });
    const { connection, conversations } = chat.state;
    const { state = 'joining', successor } = conversations.find(({ id }) => id === conversation) ?? {};
    check.see({ messages, state, isReplaced: successor !== undefined, isOnline: connection === 'online' && !isCut() });
    hasLooked = true;
    judge();
    // The timers of a hidden window are slow, and what the others compare with must not be.
    report(false);
  };
  /** One look at a time: what changes meanwhile is seen by the next. */
  const look = async (): Promise<void> => {
    isStale = true;
    if (isLooking) return;
    isLooking = true;
    try {
      while (isStale && !isOver) {
        isStale = false;
        await see();
      }
    } catch {
      // The chat has no such conversation yet. Its next change is looked at again.
    } finally {
      isLooking = false;
    }
  };
  /** Of this conversation only. */
  const on: Chat['on'] = (event, listener) =>
    chat.on(event, (what) => {
      if (!('conversation' in what) || what.conversation !== conversation) return;
      listener(what);
      void look();
    });
  const stops = [
    chat.on('state', () => void look()),
    on('message', (message) => check.arrived(message)),
    on('cancelled', ({ id }) => check.cancelled(id)),
    on('rejoined', () => check.rejoined()),
    on('log', ({ event }) => {
      if (event.type === 'log-restarted') check.restarted(event.agreed);
    }),
  ];
  void look();
  return {
    look: () => void look(),
    hear: (told) => {
      if ('bye' in told) check.left(told.bye);
      else check.hear(told.report, now());
    },
    judge,
    report: () => report(true),
    bye: () => tell({ bye: window }),
    end: () => {
      isOver = true;
      for (const stop of stops) stop();
    },
  };
}
