import type { Stage } from '../../chaos/fault.ts';
import type { People } from '../../chaos/load/people.ts';

/** What a drill may use. */
export interface DrillStage extends Stage {
  /** Clients; `user-0` is a member and an admin of every conversation. */
  readonly people: People;
  readonly say: (line: string) => void;
}

/** A real fault, and the alerts that it must make fire. */
export interface Drill {
  readonly name: string;
  /** One sentence for people. */
  readonly does: string;
  readonly alerts: readonly string[];
  /** Part of `npm run test:edges`; the others only of `npm run drills`. @default false */
  readonly isShort?: boolean;
  /** Why this machine cannot do it; `undefined` = it can. */
  readonly missing?: (stage: DrillStage) => string | undefined;
  /** @returns takes the fault away */
  readonly inject: (stage: DrillStage) => Promise<() => Promise<void> | void>;
}

/** Alerts that no drill makes fire, with the reason. Rules tests (ops/prometheus/tests) do. */
export const RULE_TESTS_ONLY: ReadonlyMap<string, string> = new Map([
  ['ParleyWriteErrorBudgetSlow', 'its windows are days'],
  ['ParleyDecisionLatencyBudgetSlow', 'its windows are days'],
  ['ParleyDeliveryLagBudgetSlow', 'its windows are days'],
  ['ParleyPostgresDeadRows', 'it needs a hundred thousand dead rows that vacuum cannot remove'],
  ['ParleyPostgresTransactionIds', 'it needs a billion transactions'],
  ['ParleyPushBehind', 'the stack of the drills wakes nobody; test/long/wake-ups.test.ts has services that fail'],
  ['ParleyPostgresReplicationLag', 'the stack of the drills has no replica'],
  [
    'ParleyInconsistent',
    'the audit runs once a day; test/long/three-in-the-morning.test.ts breaks a row, and finds it',
  ],
  ['ParleySupervisorAbsent', 'a silent supervisor shows after minutes that no scale shortens'],
  ['ParleySupervisorDegraded', 'tests of the supervisor make it give up'],
]);
