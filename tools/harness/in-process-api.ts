import type { AddressInfo } from 'node:net';
import { type Server, createServer } from 'node:http';
import path from 'node:path';
import type pg from 'pg';
import { pino } from 'pino';
import { type AppDeps, createApp, makeRoutes } from '../../api/app.ts';
import { jobsInThisThread } from '../../compute/jobs.ts';
import { makeAuthenticate } from '../../api/http/bearer-tokens.ts';
import { makeTokenVerifier } from '../../api/http/token-verifier.ts';
import { makeTransfers } from '../../api/http/transfers.ts';
import { makeSeenDevices } from '../../api/services/seen-devices.ts';
import { makeSendSignal } from '../../api/services/send-signal.ts';
import { makeSupervisorLook } from '../../api/services/supervisor-watch.ts';
import { AutoPath } from '../../dispatch/auto/auto-path.ts';
import { makeAutoReport } from '../../dispatch/auto/auto-report.ts';
import type { PathSetting } from '../../dispatch/path-switch.ts';
import { makeDirectExecutor } from '../../dispatch/direct-executor.ts';
import { makeDispatcher } from '../../dispatch/dispatcher.ts';
import { makeStager } from '../../dispatch/stager.ts';
import type { Submitter } from '../../dispatch/submission.ts';
import { BODY_LIMIT_COMMITS } from '../../domain/limits.ts';
import { makeLogger } from '../../process/logger.ts';
import { makeMetrics } from '../../process/metrics.ts';
import { makeIncarnationWatch } from '../../store/process/incarnation-watch.ts';
import { storeIncrement } from '../../store/log/increments.ts';
import { NO_PUSH } from '../../process/push-settings.ts';
import { packageRoot } from '../../process/package-root.ts';
import type { Answer } from './answer.ts';
import { type Ask, requestOf } from './ask.ts';
import { NO_RATE_LIMITS } from './limits-off.ts';
import { NO_WORKFLOWS } from './no-workflows.ts';
import { SECRET, TOKEN_RULES, rememberTokens } from './tokens.ts';

/** An API in this process: the real app over a real database. */
export interface InProcessApi {
  readonly url: string;
  /** `ask('POST /v1/conversations', { user: 'alice', body })` */
  readonly ask: (what: string, ask?: Ask) => Promise<Answer>;
  readonly logs: () => Record<string, unknown>[];
  readonly observed: { method: string; route: string; status: number }[];
  readonly increments: unknown[];
  readonly streams: unknown[];
  readonly close: () => Promise<void>;
}

/** The real queue of each conversation in front of the real direct executor: one batch at a time, in the order of arrival. */
export function directSubmitter(pool: pg.Pool): Submitter {
  const log = pino({ level: 'silent' });
  const metrics = makeMetrics({ collectDefaults: false });
  const notifier = {
    entry: () => undefined,
    device: () => undefined,
    stream: () => undefined,
    read: () => undefined,
    setting: () => Promise.resolve(),
  };
  const direct = makeDirectExecutor({ pool, notifier, log, onRetry: metrics.batchRetry });
  return makeDispatcher({
    pathOf: () => 'direct',
    executors: { direct, workflow: () => Promise.reject(new Error('No workflow runs here')) },
    stager: makeStager(pool),
    metrics,
    log,
    mailboxLimit: 10_000,
  });
}

/** Everything that the app needs, for tests. */
export async function appDeps(pool: pg.Pool, change: Partial<AppDeps> = {}): Promise<AppDeps> {
  let setting: PathSetting = { path: 'workflow', rollout: 100 };
  const healthy = (): Promise<{ status: 'healthy' }> => Promise.resolve({ status: 'healthy' });
  return {
    pool,
    log: pino({ level: 'silent' }),
    authenticate: makeAuthenticate({
      verifier: await makeTokenVerifier({ source: { kind: 'secret', secret: SECRET }, log: pino({ level: 'silent' }) }),
      rules: TOKEN_RULES,
      hashUser: (user) => `u:${user}`,
    }),
    hashUser: (user) => `u:${user}`,
    submitter: directSubmitter(pool),
    jobs: jobsInThisThread,
    life: { open: () => Promise.resolve() },
    streams: { open: () => Promise.resolve(), openAccount: () => Promise.resolve(), countOf: () => 0 },
    sendSignal: makeSendSignal({ pool, metrics: makeMetrics({ collectDefaults: false }) }),
    submitIncrement: async ({ conversation, command }) => (await storeIncrement(pool, conversation, command)).outcome,
    pathSwitch: {
      get: () => setting,
      set: (next) => {
        setting = next;
        return Promise.resolve();
      },
    },
    autoReport: makeAutoReport(new AutoPath()),
    supervisor: makeSupervisorLook(pool, 'in-process'),
    notifier: { device: () => undefined, entry: () => undefined, read: () => undefined },
    seen: makeSeenDevices({ pool, log: pino({ level: 'silent' }) }),
    keyPackages: { maxLifetimeMs: undefined, claimsPerMinute: 0, claimedUsersPerMinute: 0 },
    runs: {
      describe: (id) => Promise.resolve({ id: `conversation/${id}`, running: false }),
      shutdown: () => Promise.resolve(),
      restart: () => Promise.resolve(undefined),
      terminate: () => Promise.resolve(),
      wake: () => Promise.resolve(),
    },
    runConsistencyAudit: () => Promise.resolve(),
    offBoardingRuns: { startNow: () => Promise.resolve() },
    ...NO_WORKFLOWS,
    observe: () => undefined,
    rateLimits: NO_RATE_LIMITS,
    push: NO_PUSH,
    requestDeadlineMs: 10_000,
    epochWindow: 2,
    voteAfterHours: 24,
    treeCheckMaxBytes: BODY_LIMIT_COMMITS,
    trustProxy: 0,
    docsFolder: path.join(packageRoot(), 'docs'),
    transfers: makeTransfers({ budget: 256 * 1024 * 1024 }),
    checks: { database: healthy, temporal: healthy, memory: healthy, tokens: healthy, actors: healthy },
    version: '0.0.0-test',
    build: 'test',
    incarnation: makeIncarnationWatch({ pool, log: pino({ level: 'silent' }) }),
    isDraining: () => false,
    metrics: () => Promise.resolve({ contentType: 'text/plain', text: 'up 1\n' }),
    ...change,
  };
}

/** Looks at every answer of an API; throws when it is not as the OpenAPI document says. */
export type AnswerCheck = (method: string, target: string, answer: Answer) => void;

/**
 * Starts an API on a free port. What it would tell others (lines, requests, increments, streams) is kept for the caller to read.
 * @param makeCheck makes the check of all answers from the routes
 */
export async function startInProcessApi(
  pool: pg.Pool,
  change: Partial<AppDeps> = {},
  makeCheck: (routes: ReturnType<typeof makeRoutes>) => AnswerCheck = () => () => undefined,
): Promise<InProcessApi> {
  const lines: string[] = [];
  const observed: InProcessApi['observed'] = [];
  const increments: unknown[] = [];
  const streams: unknown[] = [];
  const deps = await appDeps(pool, {
    log: makeLogger({ level: 'info', name: 'test', destination: { write: (line) => void lines.push(line) } }),
    observe: (method, route, status) => void observed.push({ method, route, status }),
    submitIncrement: (increment) => {
      increments.push(increment);
      return storeIncrement(pool, increment.conversation, increment.command).then(({ outcome }) => outcome);
    },
    streams: {
      open: (response, target, after) => {
        streams.push({ target, after });
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
        return Promise.resolve();
      },
      openAccount: (response, target) => {
        streams.push({ target });
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
        return Promise.resolve();
      },
      countOf: () => 0,
    },
    life: {
      open: (response, target) => {
        streams.push({ target });
        response.writeHead(200, { 'content-type': 'text/event-stream' }).end();
        return Promise.resolve();
      },
    },
    ...change,
  });
  const check = makeCheck(makeRoutes(deps));
  const { handler, classes } = createApp(deps);
  const server = createServer(classes, handler);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const token = rememberTokens();
  return {
    url,
    ask: async (what, question = {}) => {
      const { method, path: target, ...init } = await requestOf(what, question, token);
      const response = await fetch(`${url}${target}`, { method, ...init });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.includes('json') === true;
      const parsed = (isJson && text !== '' ? JSON.parse(text) : {}) as Answer['body'];
      const answer = { status: response.status, headers: response.headers, body: parsed, text };
      check(method, target, answer);
      return answer;
    },
    logs: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>),
    observed,
    increments,
    streams,
    close: () => closeServer(server),
  };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
