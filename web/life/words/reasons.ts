import type { LifePath } from '../life-event.ts';

/** Why an operation took its way. The codes are those of `operation` and `head`. */
const REASONS = new Map([
  ['setting', 'an operator chose this way'],
  ['auto', 'Temporal answers in good time'],
  ['budget', 'Temporal is busy enough: as many updates are on their way as it carries in good time'],
  ['wait', 'it had waited for 25 ms, and nobody should wait long'],
  ['breaker', 'Temporal does not answer'],
  ['wedged', 'the workflow of this conversation does not answer'],
  ['time-out', 'the workflow had it and did not answer'],
  ['failed', 'the workflow had it and could not decide it'],
  ['not-a-member', 'who is no member is refused at once'],
  ['again', 'an earlier try may have decided it'],
]);

/** Why this way, in words; `undefined` = there is nothing to say. */
export function reasonWords(reason: string | undefined): string | undefined {
  return reason === undefined ? undefined : (REASONS.get(reason) ?? reason);
}

/** Which way operations take now, in one sentence. */
export function pathWords(now: LifePath, reason: string | undefined): string {
  if (now === 'workflow') return 'Operations go through the workflow.';
  return `Operations go directly from the API to Postgres: ${reasonWords(reason) ?? reasonWords('setting') ?? ''}.`;
}
