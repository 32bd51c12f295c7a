// Imports point one way. For each room: the rooms that its code may import (docs/explanation/architecture.md has the picture).
const ROOMS = {
  domain: [],
  process: ['domain'],
  mls: ['domain'],
  compute: ['mls', 'process', 'domain'],
  store: ['domain'],
  activities: ['mls', 'store', 'process', 'domain'],
  workflows: ['activities', 'domain'],
  dispatch: ['workflows', 'store', 'process', 'domain'],
  streams: ['store', 'process', 'domain'],
  push: ['store', 'process', 'domain'],
  api: ['push', 'streams', 'dispatch', 'compute', 'mls', 'store', 'process', 'domain'],
  worker: ['push', 'dispatch', 'workflows', 'activities', 'store', 'process', 'domain'],
  ops: ['mls', 'store', 'process', 'domain'],
  local: ['workflows', 'ops', 'process', 'domain'],
  client: [],
  cli: ['client', 'worker', 'local', 'process', 'domain'],
  web: ['client'],
};
const ALL = [...Object.keys(ROOMS), 'tools', 'test'];
// The same inside the API: routes use services, and services do not know HTTP.
const API_FOLDERS = {
  schemas: [],
  http: [],
  services: ['http'],
  reference: ['http', 'schemas'],
  routes: ['http', 'schemas', 'services', 'reference'],
};
// The same inside the client library (client/README.md says what each folder is for).
const CLIENT_FOLDERS = {
  platform: [],
  mls: ['platform'],
  chain: ['mls', 'platform'],
  restart: ['chain', 'mls', 'platform'],
  'ts-mls': ['mls', 'platform'],
  api: ['platform'],
  storage: ['api', 'restart', 'chain', 'mls', 'platform'],
  'file-store': ['storage'],
  group: ['api', 'storage', 'restart', 'chain', 'mls', 'platform'],
  device: ['group', 'api', 'storage', 'restart', 'chain', 'mls', 'platform'],
  tabs: ['chat', 'device', 'group', 'api', 'storage', 'restart', 'chain', 'mls', 'platform'],
  chat: ['device', 'group', 'api', 'storage', 'restart', 'chain', 'mls', 'platform'],
};
const anyOf = (rooms) => `^(${rooms.join('|')})/`;

const roomRules = Object.entries(ROOMS).map(([room, allowed]) => ({
  name: `${room}-direction`,
  severity: 'error',
  comment: `${room} may import ${allowed.length === 0 ? 'nothing of ours' : allowed.join(', ')}`,
  from: { path: `^${room}/` },
  to: { path: anyOf(ALL), pathNot: anyOf([room, ...allowed]) },
}));

const folderRules = (room, folders) =>
  Object.entries(folders).map(([folder, allowed]) => ({
    name: `${room}-${folder}-direction`,
    severity: 'error',
    comment: `of ${room}, ${room}/${folder} may import ${allowed.length === 0 ? 'nothing else' : allowed.join(', ')}`,
    from: { path: `^${room}/${folder}/` },
    to: { path: `^${room}/`, pathNot: `^${room}/(${[folder, ...allowed].join('|')})/` },
  }));

const apiRules = [
  ...folderRules('api', API_FOLDERS),
  {
    name: 'api-services-without-http',
    severity: 'error',
    comment: 'services know the caller of a request, and nothing else of HTTP',
    from: { path: '^api/services/' },
    to: { path: '^api/http/', pathNot: '^api/http/caller\\.ts$' },
  },
];

module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...roomRules,
    ...folderRules('client', CLIENT_FOLDERS),
    ...apiRules,
    {
      name: 'client-by-its-edge',
      severity: 'error',
      comment:
        'tools, tests and the web app import the entries of the library or client/testing.ts; only the tests of the library look inside',
      from: { path: '^(tools|test|web)/', pathNot: '^test/(unit|integration)/client/' },
      to: { path: '^client/', pathNot: '^client/(index|testing|ts-mls/index|file-store/index)\\.ts$' },
    },
    {
      name: 'cli-by-http',
      severity: 'error',
      comment:
        'an operator talks to the service over HTTP: of the client, the types of the API; of the worker, the replay; of local, where it runs',
      from: { path: '^cli/' },
      to: {
        path: '^(client|worker|local|process)/',
        pathNot:
          '^(client/api/openapi|worker/replay|local/(development-token|options|service-url)|process/(env-file|package-root))\\.ts$',
      },
    },
    {
      name: 'cli-types-of-the-api',
      severity: 'error',
      comment: 'the library has retries of its own, which an operator must not wait for',
      from: { path: '^cli/' },
      to: { path: '^client/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'client-without-an-mls-library',
      severity: 'error',
      comment: 'only the folder of an MLS library knows it: another one can stand in its place',
      from: { path: '^client/', pathNot: '^client/(ts-mls/|testing\\.ts$)' },
      to: { path: 'node_modules/ts-mls/' },
    },
    {
      name: 'client-examples-by-the-edge',
      severity: 'error',
      comment: 'an example imports what an app may import',
      from: { path: '^client/examples/' },
      to: { path: '^client/', pathNot: '^client/(index|mls/index|ts-mls/index|file-store/index)\\.ts$' },
    },
    {
      name: 'web-with-its-packages',
      severity: 'error',
      comment: 'the page has one library for what it shows; what else it loads must have a reason',
      from: { path: '^web/', pathNot: '^web/vite\\.config\\.ts$' },
      to: { path: 'node_modules/', pathNot: 'node_modules/(preact|@preact/signals|@preact/signals-core)/' },
    },
    {
      name: 'tools-direction',
      severity: 'error',
      comment: 'tests may use tools, and tools use no test',
      from: { path: '^tools/' },
      to: { path: '^test/' },
    },
    {
      name: 'activities-by-type-only',
      severity: 'error',
      comment: 'workflow code sees activities as types only',
      from: { path: '^workflows/' },
      to: { path: '^activities/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'local-names-of-workflows',
      severity: 'error',
      comment: 'the local stack terminates the workflow of a conversation, and needs no more of it than its id',
      from: { path: '^local/' },
      to: { path: '^workflows/', pathNot: '^workflows/conversation/messages\\.ts$' },
    },
    {
      name: 'workflow-code-only-in-the-worker',
      severity: 'error',
      comment: 'others see the messages, names and start options of workflows, never their code',
      from: { path: '^dispatch/' },
      to: { path: '^workflows/', pathNot: '^workflows/(names|conversation/(messages|start))\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^client/dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
