import { createECDH } from 'node:crypto';
import { z } from 'zod';

/**
 * One environment variable: the schema that parses it. Its metadata has its `description` in the docs, and its `default` as
 * text; absent = no default. `isSecret` = it may also come from a file.
 */
type Variable<T> = z.ZodType<T, string | undefined>;

/** Execution paths: how a batch of operations is applied. Other code derives its types and checks from this list. */
export const CONVERSATION_PATHS = ['workflow', 'direct', 'auto'] as const;
/** Algorithms of tokens from an external issuer, which Parley verifies with a public key. None of them takes a secret. */
export const PUBLIC_KEY_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
/** Upper limit of all durations. Temporal timers accept it. */
const MAX_DURATION_MS = 365 * UNITS.d;

/** Every environment variable that Parley reads, by name. `npm start` sets some of them itself. */
export const VARIABLES = {
  PORT: integer(8080, 0, 65_535, 'Port of the API.'),
  HOST: text(
    '::',
    'Listen address of the API, and of the ports for health and metrics of the worker. `::` = all addresses, IPv6 and IPv4. `npm start` sets 127.0.0.1.',
  ),
  ADMIN_PORT: integer(9090, 0, 65_535, 'Port of the worker for health checks and metrics.'),
  DATABASE_URL: secret(
    urlSchema(['postgres:', 'postgresql:']),
    'URL of a PostgreSQL server, version 18 or newer. If unset, `npm start` runs its own server.',
  ),
  DATABASE_PASSWORD: secret(z.string(), 'Password for `DATABASE_URL`, if the URL has none. Any characters.'),
  DATABASE_DIRECT_URL: secret(
    urlSchema(['postgres:', 'postgresql:']),
    'URL of the same database past a pooler, for what needs a session: notifications (one connection in each process) and migrations. Needed if `DATABASE_URL` leads to a pooler in transaction mode. If unset, `DATABASE_URL`.',
  ),
  DATABASE_TLS_CA_FILE: optional(
    z.string(),
    'PEM file with the CA certificates that the server of PostgreSQL is checked with. Set = TLS, with a check of the certificate and of its name (`sslmode=verify-full`).',
  ),
  DATABASE_POOL_SIZE: integer(20, 1, 500, 'Maximum number of PostgreSQL connections in the pool of each process.'),
  DATABASE_REPLICA_URL: secret(
    urlSchema(['postgres:', 'postgresql:']),
    'URL of a read replica of the database. It serves pages of the log. If unset, the primary does.',
  ),
  TEMPORAL_ADDRESS: optional(
    z.string().regex(/^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'must be host:port'),
    'Temporal server as host:port. If unset, `npm start` runs its own server.',
  ),
  TEMPORAL_NAMESPACE: text('default', 'Temporal namespace.'),
  TEMPORAL_TLS: choice(
    ['auto', 'on', 'off'],
    'auto',
    'TLS to Temporal: auto, on or off. `auto` = on if one of the other `TEMPORAL_TLS` variables or `TEMPORAL_API_KEY` is set.',
  ),
  TEMPORAL_TLS_CA_FILE: optional(
    z.string(),
    'PEM file with the CA certificates that the server of Temporal is checked with. If unset, those of Node.js and of the system.',
  ),
  TEMPORAL_TLS_CERT_FILE: optional(z.string(), 'PEM file with the client certificate (mTLS).'),
  TEMPORAL_TLS_KEY_FILE: optional(z.string(), 'PEM file with the private key of `TEMPORAL_TLS_CERT_FILE`.'),
  TEMPORAL_TLS_SERVER_NAME: optional(
    z.string(),
    "Name that the server's certificate must have. If unset, the host of `TEMPORAL_ADDRESS`.",
  ),
  TEMPORAL_API_KEY: secret(z.string(), 'API key, for example of Temporal Cloud. Sent only over TLS.'),
  TEMPORAL_UI_URL: url(['https:', 'http:'], 'URL of the Temporal Web UI. Answers to operators contain links to it.'),
  TASK_QUEUE: text('parley', 'Temporal task queue of the workers. API and workers need the same value.'),
  WORKER_DEPLOYMENT: optional(
    z.string(),
    'Name of the worker deployment. Set = Worker Versioning: Temporal gives work only to the build (`PARLEY_BUILD`) that was made the current one.',
  ),
  SDK_METRICS_PORT: integer(9464, 0, 65_535, "Port for the worker's Temporal SDK metrics; 0 = off."),
  PARLEY_DATA_DIR: text('.parley', 'Folder for the data, logs and token secret of `npm start`.'),
  POSTGRES_PORT: text('5433', 'Port of the PostgreSQL server that `npm start` runs.'),
  TEMPORAL_PORT: text('7233', 'Port of the Temporal server that `npm start` runs.'),
  TEMPORAL_UI_PORT: text('8233', 'Port of the Temporal Web UI that `npm start` runs.'),
  CONTROL_PORT: text('8092', 'Port of the control server of the web app, which `npm start` runs; 0 = off.'),
  PROMETHEUS_PORT: text('9091', 'Port of Prometheus, which `npm start -- --observe` runs.'),
  GRAFANA_PORT: text('3000', 'Port of Grafana, which `npm start -- --observe` runs.'),
  JWT_SECRET: secret(
    z.string().min(32, 'must have at least 32 characters'),
    'Secret of HS256 tokens, for development. The API needs exactly one of `JWT_SECRET`, `JWT_JWKS_URL` and `JWT_PUBLIC_KEY_FILE`, or `JWT_ISSUER` alone.',
  ),
  JWT_ISSUER: optional(
    z.string(),
    'Required value of the `iss` claim, letter by letter. Alone it is the URL of an OpenID Connect provider, whose discovery document says where its keys are.',
  ),
  JWT_JWKS_URL: url(
    ['https:', 'http:'],
    'URL of the JWKS (RFC 7517) with the public keys of the tokens, if they are not found by `JWT_ISSUER`.',
  ),
  JWT_PUBLIC_KEY_FILE: optional(z.string(), 'PEM file (SPKI) with the public key of the tokens.'),
  JWT_PUBLIC_KEY_ALG: choice(
    PUBLIC_KEY_ALGORITHMS,
    'ES256',
    `Algorithm of the tokens for \`JWT_PUBLIC_KEY_FILE\`, one of ${PUBLIC_KEY_ALGORITHMS.join(', ')}.`,
  ),
  JWT_ALGORITHMS: list(
    choiceSchema(PUBLIC_KEY_ALGORITHMS),
    PUBLIC_KEY_ALGORITHMS.join(','),
    'Algorithms that tokens may have whose keys come from a JWKS, separated by commas.',
  ),
  JWT_AUDIENCE: list(z.string(), 'parley', 'Audiences, separated by commas. Every token must be for one of them.'),
  JWT_AUDIENCE_CLAIM: text('aud', 'Claim that holds the audience, for example `client_id`.'),
  JWT_REQUIRED_CLAIMS: optional(
    listSchema(requiredClaim()),
    'Claims that every token must have, separated by commas: `name`, or `name=value`, for example `token_use=access`.',
  ),
  JWT_USER_CLAIM: text('sub', 'Claim that is the user id.'),
  JWT_DEVICE_CLAIM: text(
    'device',
    'Claim that is the device id. Without it the header `Parley-Device` names the device.',
  ),
  JWT_OPERATOR_CLAIMS: list(
    z.string(),
    'scope',
    'Claims that make an operator, separated by commas, for example `scope,permissions,realm_access.roles`.',
  ),
  JWT_OPERATOR_VALUE: text('operator', 'What one of `JWT_OPERATOR_CLAIMS` of an operator contains.'),
  JWT_CLOCK_TOLERANCE: duration(
    '5s',
    0,
    'The clock of the issuer may differ by this time: a token counts so much earlier than `nbf` and `iat`, and so much longer than `exp`.',
    5 * UNITS.m,
  ),
  CONVERSATION_PATH: choice(
    CONVERSATION_PATHS,
    'auto',
    'Initial execution path of operations: auto, workflow or direct. Operators can change it at run time.',
  ),
  CONVERSATION_ROLLOUT: integer(
    100,
    0,
    100,
    'Percentage of conversations that use `CONVERSATION_PATH`. The others use the other execution path; beside auto that is workflow.',
  ),
  REQUEST_DEADLINE_MS: integer(10_000, 100, 60_000, 'Every request is answered within this time, in milliseconds.'),
  IDLE_TIMEOUT: duration(
    '10m',
    1000,
    'The workflow of a conversation completes after this time without work, for example 30s, 10m or 1h.',
  ),
  EPOCH_WINDOW: integer(
    2,
    0,
    4,
    'Number of epochs that a message may be behind the current epoch. This is the default for the policy of new conversations.',
  ),
  VOTE_AFTER_HOURS: integer(
    24,
    0,
    720,
    'Hours after which a member that acted under its own token has a vote on a reset. This is the default for the policy of new conversations. 0 = at once, which lets a member outvote the others with members that it invents.',
  ),
  EXTERNAL_SENDER_KEY: secret(
    z.string().min(32, 'must have at least 32 characters'),
    'Secret that encrypts the signature keys by which the service proposes to groups to remove users (docs/how-to/off-boarding.md). API and workers need the same value. If unset, the service is no external sender.',
  ),
  TREE_CHECK_MAX_BYTES: integer(
    8_388_608,
    0,
    8_388_608,
    'Ratchet trees up to this size in bytes are checked; a GroupInfo with a larger one counts as one without. 0 = no tree is checked, and the service trusts the sender.',
  ),
  JOB_THREADS: integer(
    0,
    0,
    256,
    'Threads of the API for checks that need much CPU time; 0 = one less than the cores, and at least one.',
  ),
  LANE_MAILBOX_LIMIT: integer(
    10_000,
    1,
    1_000_000,
    'Number of operations that may wait in the queue of one conversation. One user may fill a quarter of it. More operations are answered with 503.',
  ),
  WORKER_CACHE_SIZE: integer(
    2000,
    1,
    100_000,
    'Number of conversations that a worker keeps in memory. Each needs at most 0.5 MB.',
  ),
  WORKER_TASK_SLOTS: integer(30, 2, 1000, 'Number of workflow tasks that a worker runs at the same time.'),
  PUSH_VAPID_PRIVATE_KEY: secret(
    z.string().refine(isVapidKey, 'must be a P-256 private key: 32 bytes as base64url'),
    'Private key of Web Push (RFC 8292), as base64url. If unset, no Web Push is sent.',
  ),
  PUSH_VAPID_SUBJECT: url(
    ['mailto:', 'https:'],
    'Contact for the operators of push services: a `mailto:` or `https:` URL. Needed with `PUSH_VAPID_PRIVATE_KEY`.',
  ),
  PUSH_WEB_HOSTS: list(
    z.string().regex(/^[a-z0-9.:[\]-]{1,253}$/, 'must be host names'),
    'fcm.googleapis.com,push.services.mozilla.com,push.apple.com,notify.windows.com',
    'Hosts of Web Push services, separated by commas; hosts below them too. Wake-ups go nowhere else.',
  ),
  PUSH_GATEWAY_URL: url(['https:', 'http:'], 'URL of the push gateway of the app. If unset, there is none.'),
  PUSH_GATEWAY_SECRET: secret(
    z
      .string()
      .regex(/^whsec_[A-Za-z0-9+/]{32,88}={0,2}$/, 'must be whsec_ and 24 to 64 bytes as base64 (Standard Webhooks)'),
    'Secret with which requests to the push gateway are signed (Standard Webhooks): `whsec_` and 24 to 64 bytes as base64.',
  ),
  PUSH_NETWORKS: optional(
    listSchema(z.union([z.cidrv4(), z.cidrv6()], { error: 'must be networks such as 10.0.0.0/8' })),
    'Networks that wake-ups may go to beside public addresses, separated by commas: that of a gateway inside the cluster, for example.',
  ),
  PUSH_CONTENT: choice(
    ['nothing', 'unread', 'conversation', 'all'],
    'nothing',
    'What a wake-up says beside "there is something": nothing, the unread count of the conversation, its id, or all of these.',
  ),
  CONSISTENCY_AUDIT_PERCENT: integer(
    20,
    1,
    100,
    'Part of the time, in percent, in which the consistency audit reads. While the database is busy it reads a fifth of this.',
  ),
  WORKFLOW_STACK_TRACES: choice(
    ['off', 'on'],
    'off',
    'Stack traces of workflow code, for debugging. They make workflows slower.',
  ),
  WORKFLOW_PROMISE_HOOK: choice(
    ['off', 'on'],
    'off',
    "The SDK's hook for every promise of workflow code. Only stack traces need it, which switch it on.",
  ),
  RATE_LIMIT_MESSAGES: integer(
    60_000,
    0,
    1e9,
    'Messages per device, minute and process. Each message of a list counts. 0 = off.',
  ),
  RATE_LIMIT_SIGNALS: integer(6000, 0, 1e9, 'Signals per device, minute and process; 0 = off.'),
  RATE_LIMIT_SIGNALS_CONVERSATION: integer(
    600,
    0,
    1e9,
    'Signals of one user to one conversation per minute and process; 0 = off.',
  ),
  RATE_LIMIT_COMMITS: integer(
    6000,
    0,
    1e9,
    'Commits, adds, removals and GroupInfos per device, minute and process; 0 = off.',
  ),
  RATE_LIMIT_WRITES: integer(
    12_000,
    0,
    1e9,
    'All other requests that change something, per device, minute and process; 0 = off.',
  ),
  RATE_LIMIT_READS: integer(60_000, 0, 1e9, 'Read requests per device, minute and process; 0 = off.'),
  RATE_LIMIT_CLAIMS: integer(
    300,
    0,
    1e9,
    'Key packages that a user may claim per minute; 0 = off, and a user may hold any number of claimed key packages.',
  ),
  RATE_LIMIT_CLAIMED_USERS: integer(
    2000,
    0,
    1e9,
    'Users whose key packages a user may claim per minute with claims for many users; 0 = off.',
  ),
  RATE_LIMIT_UNAUTHENTICATED: integer(
    600,
    0,
    1e9,
    'Requests with a forged token, or with none, per client address, minute and process; 0 = off.',
  ),
  RATE_LIMIT_COST: integer(
    15_000,
    0,
    1e9,
    'CPU time that the requests of one user may cost, in milliseconds per minute and process; the same for public pages per client address. 0 = off.',
  ),
  BYTES_IN_FLIGHT: integer(
    256 * 1024 * 1024,
    64 * 1024 * 1024,
    1e11,
    'Bytes of bodies and answers that a process has in memory at a time. One user has at most an eighth of it.',
  ),
  STREAM_SLOW_MS: integer(
    5000,
    100,
    600_000,
    'An event stream is closed when its client reads nothing for this time, in milliseconds.',
  ),
  STREAMS_PER_USER: integer(100, 0, 1e9, 'Open event streams per user and process; 0 = off.'),
  KEY_PACKAGE_MAX_LIFETIME: duration(
    'off',
    60_000,
    'Maximum lifetime of a key package; `off` = no maximum. Recommended: 90d.',
  ),
  MAX_HEADER_BYTES: integer(
    32_768,
    8192,
    1_048_576,
    'Bytes of all headers of a request together, which tokens may need. More are answered with 431.',
  ),
  TRUST_PROXY: integer(
    0,
    0,
    10,
    'Number of proxies in front of the API. Parley trusts the X-Forwarded-For entries of this many proxies.',
  ),
  CORS_ORIGINS: optional(
    originsSchema(),
    'Origins whose web pages may use the API, separated by commas, for example `https://app.example.com`. If unset, none.',
  ),
  WEB_APP: choice(
    ['off', 'on'],
    'off',
    'The web app at `/app/` of the API (docs/how-to/web-app.md). `npm start` sets on.',
  ),
  WEB_APP_CONTROL_URL: url(
    ['http:'],
    'URL of the control server of the local stack, from which the web app has its tokens. Only `npm start` sets it.',
  ),
  CONTINUE_AS_NEW_AFTER: integer(
    0,
    0,
    1e9,
    'For tests: a workflow run continues as new after this many operations; 0 = when the Temporal server suggests it.',
  ),
  SHUTDOWN_DELAY_MS: integer(
    5000,
    0,
    600_000,
    'After SIGTERM, the API is not ready but serves on for this time, in milliseconds, so that balancers notice. Longer than the interval of their checks. `npm start` sets 0.',
  ),
  SHUTDOWN_GRACE_MS: integer(
    15_000,
    0,
    600_000,
    'After SIGTERM and `SHUTDOWN_DELAY_MS`, running requests have this time to finish, in milliseconds.',
  ),
  PARLEY_BUILD: optional(
    z.string(),
    'Commit or image that the process was built from, for health and metrics. If unset, the commit that `npm run build` found.',
  ),
  OTEL_EXPORTER_OTLP_ENDPOINT: url(
    ['https:', 'http:'],
    'URL of an OpenTelemetry collector (OTLP over HTTP), for example http://127.0.0.1:4318. If unset, tracing is off. OpenTelemetry also reads its variable OTEL_EXPORTER_OTLP_HEADERS.',
  ),
  OTEL_SERVICE_NAME: text('parley', 'Name of the service in traces.'),
  OTEL_TRACES_SAMPLER_ARG: variable(
    z
      .string()
      .regex(/^(?:0|1|0?\.\d{1,6}|1\.0)$/, 'must be a number from 0 to 1')
      .transform(Number),
    '1',
    'Part of the requests that is traced, from 0 to 1. All processes need the same value.',
  ),
  LOG_LEVEL: choice(LOG_LEVELS, 'info', `One of ${LOG_LEVELS.join(', ')}.`),
  LOG_SALT: secret(
    z.string().min(16, 'must have at least 16 characters'),
    'Salt for the hashed user ids in logs. If unset, each process uses a random salt. Set it to find the same user in the logs of several processes.',
  ),
} as const;

function variable<T>(schema: z.ZodType<T, string>, standard: string, description: string): Variable<T> {
  return schema.prefault(standard).meta({ default: standard, description });
}

function optional<T>(schema: z.ZodType<T, string>, description: string): Variable<T | undefined> {
  return schema.optional().meta({ description });
}

/** A variable that may also come from a file (`secret-files.ts`), and that no output may show. */
function secret<T>(schema: z.ZodType<T, string>, description: string): Variable<T | undefined> {
  return schema.optional().meta({ description, isSecret: true });
}

/** Values separated by commas, with any space around them. */
function list<T>(schema: z.ZodType<T, string>, standard: string, description: string): Variable<readonly T[]> {
  return variable(listSchema(schema), standard, description);
}

function listSchema<T>(schema: z.ZodType<T, string>): z.ZodType<readonly T[], string> {
  return z.string().transform((text, context): readonly T[] => {
    const values: T[] = [];
    for (const part of text.split(',')) {
      const parsed = schema.safeParse(part.trim());
      const problem = part.trim() === '' ? 'has an empty part' : parsed.error?.issues[0]?.message;
      if (problem !== undefined) context.addIssue(problem);
      if (problem !== undefined || !parsed.success) return z.NEVER;
      values.push(parsed.data);
    }
    return values;
  });
}

/** `name` or `name=value`. */
function requiredClaim(): z.ZodType<{ readonly claim: string; readonly value: string | undefined }, string> {
  return z
    .string()
    .regex(/^[^=]/, 'must be names, or name=value, separated by commas')
    .transform((part) => {
      const at = part.indexOf('=');
      return at === -1 ? { claim: part, value: undefined } : { claim: part.slice(0, at), value: part.slice(at + 1) };
    });
}

function text(standard: string, description: string): Variable<string> {
  return variable(z.string(), standard, description);
}

function integer(standard: number, min: number, max: number, description: string): Variable<number> {
  const message = `must be a whole number from ${min} to ${max}`;
  const schema = z
    .string()
    .regex(/^\d{1,12}$/, message)
    .transform(Number)
    .refine((value) => Number.isNaN(value) || (value >= min && value <= max), message);
  return variable(schema, String(standard), description);
}

function choice<const T extends string>(values: readonly T[], standard: T, description: string): Variable<T> {
  return variable(choiceSchema(values), standard, description);
}

function choiceSchema<const T extends string>(values: readonly T[]): z.ZodType<T, string> {
  const message = `must be ${values.length === 2 ? values.join(' or ') : `one of ${values.join(', ')}`}`;
  return z.string().transform((given, context): T => {
    const value = values.find((one) => one === given);
    if (value !== undefined) return value;
    context.addIssue(message);
    return z.NEVER;
  });
}

/** A private key of P-256 that is not zero, and below the order of the curve. */
function isVapidKey(text: string): boolean {
  if (!/^[A-Za-z0-9_-]{43}$/.test(text)) return false;
  try {
    createECDH('prime256v1').setPrivateKey(Buffer.from(text, 'base64url'));
    return true;
  } catch {
    return false;
  }
}

function url(protocols: readonly string[], description: string): Variable<string | undefined> {
  return optional(urlSchema(protocols), description);
}

function urlSchema(protocols: readonly string[]): z.ZodType<string, string> {
  const isUrl = (value: string): boolean => URL.canParse(value) && protocols.includes(new URL(value).protocol);
  const begins = protocols.map((protocol) => (protocol === 'mailto:' ? protocol : `${protocol}//`));
  return z.string().refine(isUrl, `must be a URL that starts with ${begins.join(' or ')}`);
}

/** Parses a list of origins. Each must stand as browsers send it, because it is compared as it stands. */
function originsSchema(): z.ZodType<readonly string[], string> {
  return z.string().transform((given, context): readonly string[] => {
    const origins = given.split(',').map((origin) => origin.trim());
    for (const origin of origins) {
      const problem = originProblem(origin);
      if (problem !== undefined) context.addIssue(problem);
    }
    return [...new Set(origins)];
  });
}

/** What is wrong with an origin (RFC 6454 §6.2); `undefined` = nothing. */
function originProblem(origin: string): string | undefined {
  if (origin.includes('*')) return 'must name each origin: * is not allowed';
  if (origin === 'null')
    return 'must not contain null: any page can have that origin, for example in a sandboxed frame';
  const shown = origin.length > 100 ? `${origin.slice(0, 99)}…` : origin;
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  // Apps in a web view have schemes of their own, whose origins `URL` does not know: capacitor://localhost.
  const own = url?.origin === 'null' && url.host !== '' ? `${url.protocol}//${url.host}` : url?.origin;
  if (own === undefined || own === 'null') {
    return `must contain only origins such as https://app.example.com: "${shown}" is none`;
  }
  return own === origin ? undefined : `must contain origins as browsers send them: ${own} and not "${shown}"`;
}

/** Parses a duration to milliseconds. A variable with the default `off` also accepts `off`, which becomes undefined. */
function duration(
  standard: string,
  minMs: number,
  description: string,
  maxMs: number = MAX_DURATION_MS,
): Variable<number | undefined> {
  const schema = z.string().transform((value, context) => {
    if (value === 'off' && standard === 'off') return undefined;
    const [, number, unit] = /^(\d{1,9})(ms|[smhd])$/.exec(value) ?? [];
    const ms = Number(number) * UNITS[(unit ?? 'ms') as keyof typeof UNITS];
    if (ms >= minMs && ms <= maxMs) return ms;
    context.addIssue(
      `must be a duration such as 30s, 10m or 1h, from ${minMs / 1000}s to ${maxMs === MAX_DURATION_MS ? '365d' : `${maxMs / 1000}s`}`,
    );
    return z.NEVER;
  });
  return variable(schema, standard, description);
}
