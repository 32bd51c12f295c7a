import type { Look, Suspect } from '../../domain/supervision/look.ts';
import { DEFAULT_POLICY, type SupervisionPolicy } from '../../domain/supervision/policy.ts';

/** What the supervisor sees: these conversations time out. */
export function lookAt(
  conversations: readonly string[],
  policy: Partial<SupervisionPolicy> = {},
  more: Partial<Look> = {},
): Look {
  const suspects = conversations.map((conversation): Suspect => ({ conversation, sign: 'timeouts', details: {} }));
  return {
    policy: { ...DEFAULT_POLICY, ...policy },
    policyMark: '',
    suspects,
    failedRuns: [],
    sampleFrom: '',
    ...more,
  };
}
