import type { RateLimits } from '../../process/config.ts';
import { VARIABLES } from '../../process/config-variables.ts';

/** Environment of a service without rate limits: tests and measurements send more than any client may. */
export const LIMITS_OFF: Readonly<Record<string, string>> = Object.fromEntries(
  Object.keys(VARIABLES)
    .filter((name) => name.startsWith('RATE_LIMIT_'))
    .map((name) => [name, '0']),
);

/** The same for an API in this process. */
export const NO_RATE_LIMITS: RateLimits = {
  messages: 0,
  signals: 0,
  signalsOfConversation: 0,
  commits: 0,
  claims: 0,
  claimedUsers: 0,
  writes: 0,
  reads: 0,
  unauthenticated: 0,
  cost: 0,
};
