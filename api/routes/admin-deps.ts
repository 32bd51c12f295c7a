import type pg from 'pg';
import type { AutoReport } from '../../dispatch/auto/auto-report.ts';
import type { Dispatcher } from '../../dispatch/dispatcher.ts';
import type { ConversationPath } from '../../dispatch/executor.ts';
import type { PathSwitch } from '../../dispatch/path-switch.ts';
import type { RunningWorkflows } from '../../dispatch/running-workflows.ts';
import type { WorkflowInspection } from '../../dispatch/workflow-inspection.ts';
import type { WorkflowRuns } from '../../dispatch/workflow-runs.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import type { IncarnationWatch } from '../../store/process/incarnation-watch.ts';
import type { HealthChecks } from '../services/health-checks.ts';
import type { ProcessFacts } from '../services/process-facts.ts';

/** What the process that answers knows by itself. */
export interface OwnView {
  readonly pathOf: (conversation: string) => ConversationPath;
  readonly loadOf: Dispatcher['loadOf'];
  readonly failuresOf: Dispatcher['failures']['of'];
  /** Open streams that follow a conversation. */
  readonly streamsOf: (conversation: string) => number;
  readonly facts: () => ProcessFacts;
}

export interface AdminDeps {
  readonly pool: pg.Pool;
  readonly pathSwitch: Pick<PathSwitch, 'get' | 'set'>;
  /** What the path `auto` does in this process. */
  readonly autoReport: () => AutoReport;
  readonly runs: WorkflowRuns;
  readonly inspection: WorkflowInspection;
  readonly running: RunningWorkflows;
  readonly own: OwnView;
  readonly notifier: Pick<Notifier, 'entry'>;
  readonly checks: HealthChecks;
  readonly version: string;
  readonly incarnation: Pick<IncarnationWatch, 'raise' | 'canNotice'>;
}
