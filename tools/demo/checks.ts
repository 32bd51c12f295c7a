import { setTimeout as sleep } from 'node:timers/promises';
import { hasCode } from '../../client/api/problem.ts';
import type { ProblemError } from '../../client/api/problem.ts';

/** Tells what was checked, one line each, and remembers what failed. */
export interface Checks {
  readonly failures: readonly string[];
  readonly check: (label: string, holds: boolean) => void;
}

export function createChecks(say: (line: string) => void): Checks {
  const failures: string[] = [];
  const check = (label: string, holds: boolean): void => {
    say(`${holds ? '✓' : '✗'} ${label}`);
    if (!holds) failures.push(label);
  };
  return { failures, check };
}

/** The problem with which `action` is refused; `undefined` if it succeeds. Anything else is thrown. */
export async function refusal(action: Promise<unknown>, code: string): Promise<ProblemError | undefined> {
  try {
    await action;
    return undefined;
  } catch (error) {
    if (hasCode(error, code)) return error;
    throw error;
  }
}

const POLL_MS = 20;

/** Does `condition` hold before `limitMs` is over? */
export async function within(limitMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) return false;
    await sleep(POLL_MS);
  }
  return true;
}
