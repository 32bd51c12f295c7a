import { setTimeout as sleep } from 'node:timers/promises';
import type { ProblemCode, ProblemError } from '../../client/index.ts';
import { hasCode } from '../../client/index.ts';

/** Prints one line for each check, and remembers the failed checks. */
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

/** The problem with which the service refuses `action`; `undefined` if `action` succeeds. @throws every other error */
export async function refusal(action: Promise<unknown>, code: ProblemCode): Promise<ProblemError | undefined> {
  try {
    await action;
    return undefined;
  } catch (error) {
    if (hasCode(error, code)) return error;
    throw error;
  }
}

const POLL_MS = 20;

/** Does `condition` become true within `limitMs`? */
export async function within(limitMs: number, condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) return false;
    await sleep(POLL_MS);
  }
  return true;
}
