import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { ProblemWords } from '../chat/problem-words.ts';
import { wordsOf } from '../chat/problem-words.ts';

export interface Act {
  /** It is being done. */
  readonly isBusy: boolean;
  /** Why it was not done the last time. */
  readonly problem: ProblemWords | undefined;
  /** Does something, unless something is being done already. @returns whether it was done */
  readonly act: (task: () => Promise<unknown>) => Promise<boolean>;
}

/** For a form or a button: one thing at a time, and what went wrong with it. */
export function useAct(): Act {
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState<ProblemWords | undefined>(undefined);
  const running = useRef(false);
  const isThere = useRef(true);
  useEffect(() => () => void (isThere.current = false), []);
  const act = useCallback(async (task: () => Promise<unknown>): Promise<boolean> => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setProblem(undefined);
    try {
      await task();
      return true;
    } catch (error) {
      if (isThere.current) setProblem(wordsOf(error));
      return false;
    } finally {
      running.current = false;
      if (isThere.current) setBusy(false);
    }
  }, []);
  return { isBusy, problem, act };
}
