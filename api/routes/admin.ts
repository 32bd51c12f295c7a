import type pg from 'pg';
import type { AutoReport } from '../../dispatch/auto/auto-report.ts';
import type { Dispatcher } from '../../dispatch/dispatcher.ts';
import type { ConversationPath } from '../../dispatch/executor.ts';
import type { PathSwitch } from '../../dispatch/path-switch.ts';
import type { RunningWorkflows } from '../../dispatch/running-workflows.ts';
import type { WorkflowInspection } from '../../dispatch/workflow-inspection.ts';
import type { WorkflowRuns } from '../../dispatch/workflow-runs.ts';
import type { Notifier } from '../../store/log/notifications.ts';
import type { Route } from '../http/route.ts';
import type { HealthChecks } from '../services/health-checks.ts';
import type { ProcessFacts } from '../services/process-facts.ts';
import { adminAuditRoutes } from './admin-audit.ts';
import { adminConversationRoutes } from './admin-conversations.ts';
import { adminDrainRoutes } from './admin-drain.ts';
import { adminExportRoutes } from './admin-export.ts';
import { adminPathRoutes } from './admin-path.ts';
import { adminRunRoutes } from './admin-runs.ts';
import { adminStatusRoutes } from './admin-status.ts';
import { adminUserRoutes } from './admin-users.ts';

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
}

/** Routes for operators: they inspect the service and change it at run time. Each subject has its file. */
export function adminRoutes(deps: AdminDeps): Route[] {
  return [
    ...adminStatusRoutes(deps),
    ...adminPathRoutes(deps),
    ...adminDrainRoutes(deps),
    ...adminConversationRoutes(deps),
    ...adminRunRoutes(deps),
    ...adminExportRoutes(deps),
    ...adminUserRoutes(deps),
    ...adminAuditRoutes(deps),
  ];
}
