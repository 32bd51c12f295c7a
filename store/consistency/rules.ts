import { CONVERSATIONS, ENTRIES } from './log-rules.ts';
import { INTERVALS, MEMBERS } from './member-rules.ts';
import type { Pass, Rule } from './rule.ts';
import { CHANGES, DELETED, GROUP_INFOS, PENDING_INCREMENTS, STAGED } from './waiting-rules.ts';
import { KEY_PACKAGES, WELCOMES, WELCOME_BODIES } from './welcome-rules.ts';

export type { Rule } from './rule.ts';

/** What is read of a slice of conversations. */
export const CONVERSATION_PASSES: readonly Pass[] = [
  CONVERSATIONS,
  ENTRIES,
  MEMBERS,
  INTERVALS,
  WELCOMES,
  WELCOME_BODIES,
  CHANGES,
  GROUP_INFOS,
  STAGED,
  PENDING_INCREMENTS,
  DELETED,
];

/** What is read of a slice of key packages, which belong to users. */
export const KEY_PACKAGE_PASS: Pass = KEY_PACKAGES;

/** The finding about a conversation that is too large to be read within the time limit of a statement. It breaks no rule. */
export const NOT_AUDITED = 'not-audited';

/** All rules (docs/explanation/consistency.md). */
export const RULES: readonly Rule[] = [...CONVERSATION_PASSES, KEY_PACKAGE_PASS].flatMap(({ rules }) => rules);
