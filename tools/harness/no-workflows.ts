import type { AdminDeps } from '../../api/routes/admin-deps.ts';

/** What operators see of workflows and of the process, for an API without workflows and without queues of its own. */
export const NO_WORKFLOWS: Pick<AdminDeps, 'inspection' | 'running' | 'own'> = {
  inspection: {
    run: () => Promise.resolve(undefined),
    state: () => Promise.reject(new Error('No workflow runs here')),
    history: () => Promise.resolve(undefined),
  },
  running: {
    count: () => Promise.resolve({ running: 0, failed: 0 }),
    pollers: () => Promise.resolve([]),
    list: () => Promise.resolve([]),
  },
  own: {
    pathOf: () => 'direct',
    loadOf: () => undefined,
    failuresOf: () => [],
    streamsOf: () => 0,
    facts: () => ({
      queueDepth: 0,
      oldestWaitMs: 0,
      activeConversations: 0,
      openStreams: 0,
      diversions: {},
      path: { path: 'direct', rollout: 100, state: 'normal' },
      clockSkewMs: 0,
    }),
  },
};
