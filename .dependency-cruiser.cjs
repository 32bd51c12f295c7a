// Imports point one way: api, worker -> workflows (messages), activities -> store -> domain.
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: `^${from}/`, pathNot: '\\.test\\.ts$' },
  to: {
    path: '^(domain|store|activities|workflows|api|worker|ops|test)/',
    pathNot: `^(${[from, ...allowed].join('|')})/`,
  },
});

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-test-in-code', severity: 'error', from: { pathNot: '^test/|\\.test\\.ts$' }, to: { path: '^test/' } },
    only('domain-is-pure', 'domain', [], 'domain is shared by all and imports nothing of ours'),
    only('store-on-domain', 'store', ['domain'], 'store knows Postgres and the domain'),
    only('activities-on-store', 'activities', ['store', 'domain', 'ops/process'], 'activities call the store'),
    only('workflows-are-pure', 'workflows', ['domain', 'activities'], 'workflow code is deterministic'),
    only(
      'api-direction',
      'api',
      ['workflows', 'store', 'domain', 'ops/process'],
      'the API never runs workflow or activity code',
    ),
    only(
      'worker-direction',
      'worker',
      ['workflows', 'activities', 'store', 'domain', 'ops/process'],
      'the worker never imports the API',
    ),
    {
      name: 'activities-by-type-only',
      severity: 'error',
      comment: 'workflow code sees activities as types only',
      from: { path: '^workflows/' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'process-is-a-leaf',
      severity: 'error',
      from: { path: '^ops/process/' },
      to: { path: '^(store|activities|workflows|api|worker|test|ops/stack)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
