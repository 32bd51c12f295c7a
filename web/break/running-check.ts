import { signal } from '@preact/signals';
import { newId } from '../../client/index.ts';
import { isCut } from '../shell/network.ts';
import type { Session } from '../shell/session.ts';
import type { Verdict } from './check.ts';
import { type Told, watch } from './watch.ts';

/** What the running check of the open conversation says. */
export const verdict = signal<Verdict | undefined>(undefined);

const CHANNEL = 'parley-check';
const TICK_MS = 1_000;
/** A window that has just come learns in this time what the others have. */
const REPORT_TICKS = 5;
/** Of this page, as long as it lives, whichever conversation it shows. */
const WINDOW = newId();

/** Runs the check of a conversation in this window. @returns ends it */
export function runCheck({ user, chat }: Session, conversation: string): () => void {
  const channel = new BroadcastChannel(CHANNEL);
  const { look, hear, judge, report, bye, end } = watch({
    ...{ window: WINDOW, user, conversation, chat, now: Date.now },
    isCut: () => isCut.peek(),
    tell: (told) => channel.postMessage(told),
    onVerdict: (now) => (verdict.value = now),
  });
  channel.onmessage = ({ data }: MessageEvent<Told>) => hear(data);
  const stop = isCut.subscribe(look);
  addEventListener('pagehide', bye);
  let ticks = 0;
  const timer = setInterval(() => {
    judge();
    if (++ticks % REPORT_TICKS === 0) report();
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    removeEventListener('pagehide', bye);
    stop();
    end();
    bye();
    channel.close();
    verdict.value = undefined;
  };
}
