import type { Route } from '../http/route.ts';
import { adminAuditRoutes } from './admin-audit.ts';
import { adminConversationRoutes } from './admin-conversations.ts';
import { adminDrainRoutes } from './admin-drain.ts';
import { adminExportRoutes } from './admin-export.ts';
import { adminPathRoutes } from './admin-path.ts';
import { adminRestoredRoutes } from './admin-restored.ts';
import { adminRunRoutes } from './admin-runs.ts';
import { adminStatusRoutes } from './admin-status.ts';
import { adminUserRoutes } from './admin-users.ts';
import type { AdminDeps } from './admin-deps.ts';

/** Routes for operators: they inspect the service and change it at run time. Each subject has its file. */
export function adminRoutes(deps: AdminDeps): Route[] {
  return [
    ...adminStatusRoutes(deps),
    ...adminPathRoutes(deps),
    ...adminDrainRoutes(deps),
    ...adminConversationRoutes(deps),
    ...adminRestoredRoutes(deps),
    ...adminRunRoutes(deps),
    ...adminExportRoutes(deps),
    ...adminUserRoutes(deps),
    ...adminAuditRoutes(deps),
  ];
}
