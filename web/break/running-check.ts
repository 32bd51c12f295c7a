import { signal } from '@preact/signals';
import { newId } from '../../client/index.ts';
import { isCut } from '../shell/network.ts';
import type { Session } from '../shell/session.ts';
import { MOST_COMPARED, RunningCheck, SILENT_MS, type Verdict } from './check.ts';
import type { WindowReport } from './window-report.ts';

/** What the running check of the open conversation says. */
export const verdict = signal<Verdict | undefined>(undefined);

const CHANNEL = 'parley-check';
const TICK_MS = 1_000;
/** Windows tell each other what they have some times before they count as closed. */
const REPORT_TICKS = Math.floor(SILENT_MS / TICK_MS / 4);

/** Runs the check of a conversation in this window. @returns ends it */
export function runCheck({ user, chat }: Session, conversation: string): () => void {
  const check = new RunningCheck({ window: newId(), user, conversation });
  const channel = new BroadcastChannel(CHANNEL);
  let isLooking = false;
  let isStale = false;
  let isOver = false;
  let ticks = 0;

  const judge = (): void => {
    if (!isOver) verdict.value = check.verdict(Date.now());
  };
  const report = (): void => channel.postMessage(check.report());
  /** One look at a time: what changes meanwhile is seen by the next. */
  const look = async (): Promise<void> => {
    isStale = true;
    if (isLooking) return;
    isLooking = true;
    try {
      while (isStale && !isOver) {
        isStale = false;
        const messages = await chat.history(conversation, { limit: MOST_COMPARED });
        const { connection, conversations } = chat.state;
        const state = conversations.find(({ id }) => id === conversation)?.state ?? 'joining';
        check.see({ messages, state, isOnline: connection === 'online' && !isCut.peek() });
        judge();
      }
    } catch {
      // The chat has no such conversation yet. Its next change is looked at again.
    } finally {
      isLooking = false;
    }
  };
  const stops = [
    chat.on('message', (message) => {
      if (message.conversation !== conversation) return;
      check.arrived(message);
      void look();
    }),
    chat.on('state', () => void look()),
    chat.on('log', ({ conversation: where, event }) => {
      if (where === conversation && event.type === 'log-restarted') check.restarted(event.agreed);
    }),
    chat.on('rejoined', ({ conversation: where }) => {
      if (where === conversation) check.rejoined();
    }),
    isCut.subscribe(() => void look()),
  ];
  channel.onmessage = ({ data }: MessageEvent<WindowReport>) => check.hear(data, Date.now());
  const timer = setInterval(() => {
    if (ticks++ % REPORT_TICKS === 0) report();
    judge();
  }, TICK_MS);
  void look().then(report);
  return () => {
    isOver = true;
    clearInterval(timer);
    for (const stop of stops) stop();
    channel.close();
    verdict.value = undefined;
  };
}
