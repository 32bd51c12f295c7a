import type { AttackCase } from './attack-case.ts';
import { badTokens } from './cases/bad-tokens.ts';
import { comesBack } from './cases/comes-back.ts';
import { cpuTime } from './cases/cpu-time.ts';
import { fullInbox } from './cases/full-inbox.ts';
import { groupInfoSquatting } from './cases/group-info-squatting.ts';
import { healthChecks } from './cases/health-checks.ts';
import { inventedMembers } from './cases/invented-members.ts';
import { largeCreate } from './cases/large-create.ts';
import { lastAdmin } from './cases/last-admin.ts';
import { malformedBodies } from './cases/malformed-bodies.ts';
import { membersCommit } from './cases/members-commit.ts';
import { opaqueInputs } from './cases/opaque-inputs.ts';
import { outsidersEpochs } from './cases/outsiders-epochs.ts';
import { pendingMembers } from './cases/pending-members.ts';
import { proposals } from './cases/proposals.ts';
import { prototypeNames } from './cases/prototype-names.ts';
import { slowBodies } from './cases/slow-bodies.ts';
import { strangersCommit } from './cases/strangers-commit.ts';
import { unknownKeys } from './cases/unknown-keys.ts';
import { unreadAnswers } from './cases/unread-answers.ts';
import { unreadableCommit } from './cases/unreadable-commit.ts';
import { winners } from './cases/winners.ts';

/** Every attack: first those on time and memory, then on integrity and evidence, then those that ask for secrets. */
export const CASES: readonly AttackCase[] = [
  strangersCommit,
  membersCommit,
  malformedBodies,
  cpuTime,
  proposals,
  slowBodies,
  unreadAnswers,
  unknownKeys,
  largeCreate,
  healthChecks,
  groupInfoSquatting,
  outsidersEpochs,
  unreadableCommit,
  inventedMembers,
  pendingMembers,
  comesBack,
  lastAdmin,
  fullInbox,
  winners,
  opaqueInputs,
  prototypeNames,
  badTokens,
];
