import type { RequestListener } from 'node:http';
import express, { type RequestHandler } from 'express';
import type { Logger } from 'pino';
import type pg from 'pg';
import { AppError } from '../domain/errors.ts';
import { makeGroupChecks } from '../compute/group-checks.ts';
import type { Jobs } from '../compute/jobs.ts';
import {
  HEAVY_REQUESTS_PER_USER,
  HEAVY_TURN_MS,
  REQUESTS_PER_USER,
  WAITING_REQUESTS_PER_USER,
} from '../domain/limits.ts';
import type { RateLimits } from '../process/config.ts';
import type { PushSettings } from '../process/push-settings.ts';
import { ProgressOfRequests } from '../process/progress.ts';
import type { Tracing } from '../process/tracing.ts';
import type { Notifier } from '../store/log/notifications.ts';
import type { IncarnationWatch } from '../store/process/incarnation-watch.ts';
import { type ReadPage, makeReadPage } from '../store/replica/replica-pages.ts';
import type { Authenticate } from './http/bearer-tokens.ts';
import { makeApplyCommit } from './services/commits.ts';
import { makeCreateConversation } from './services/create-conversation.ts';
import { makeGroupInfos } from './services/group-info.ts';
import { makeGroupStates } from './services/group-states.ts';
import { makeConversationCache } from './services/conversation-cache.ts';
import { makeEraseUser } from './services/erase-user.ts';
import { makeLeave } from './services/leave.ts';
import { makeAskToJoin } from './services/join-request.ts';
import { makeSendMessages } from './services/send-messages.ts';
import { makeOperations } from './services/operations.ts';
import { makeCheckProposer } from './services/proposer.ts';
import { makeRepair } from './services/repair.ts';
import { type StreamTickets, makeStreamTickets } from './services/stream-tickets.ts';
import type { RunConsistencyAudit } from '../dispatch/consistency-audits.ts';
import type { WorkflowRuns } from '../dispatch/workflow-runs.ts';
import type { SubmitIncrement } from '../dispatch/increments.ts';
import type { SendSignal } from './services/send-signal.ts';
import type { Submitter } from '../dispatch/submission.ts';
import { type IdentifyCaller, byTicket, byToken, makeAdmitDevice, makeAuthenticated } from './http/authenticated.ts';
import { makeKeptAnswers } from './http/kept-answers.ts';
import { type MessageClasses, makeMessageClasses } from './http/message-classes.ts';
import { makeCommonHeaders } from './http/common-headers.ts';
import { makeCrossOrigin } from './http/cross-origin.ts';
import { makeRunOnce } from './http/idempotency.ts';
import { makeProblemRenderer } from './http/problems.ts';
import { makeRateLimits } from './http/rate-limits.ts';
import { type ObserveRequest, makeRequestContext } from './http/request-context.ts';
import { ASSETS_PATH, referenceAssets } from './reference/reference-page.ts';
import type { LoadShedding } from './http/shed-load.ts';
import type { Transfers } from './http/transfers.ts';
import { WEB_APP_PATH, type WebAppOptions, webApp } from './http/web-app.ts';
import { type TurnsOptions, makeTurns } from './http/turns.ts';
import type { SeenDevices } from './services/seen-devices.ts';
import type { AdminDeps } from './routes/admin-deps.ts';
import { adminRoutes } from './routes/admin.ts';
import { adminConsistencyRoutes } from './routes/admin-consistency.ts';
import { adminLifeRoutes } from './routes/admin-life.ts';
import { type SupervisorRouteDeps, supervisorRoutes } from './routes/admin-supervisor.ts';
import { commitRoutes } from './routes/commits.ts';
import { consentRoutes } from './routes/consent.ts';
import { conversationListRoutes } from './routes/conversation-list.ts';
import { conversationRoutes } from './routes/conversations.ts';
import { deletionRoutes } from './routes/deletions.ts';
import { deviceRoutes } from './routes/devices.ts';
import { docsRoutes } from './routes/docs.ts';
import { epochRoutes } from './routes/epoch.ts';
import type { StreamHub } from '../streams/hub.ts';
import type { LifeStreams } from '../streams/life/life-streams.ts';
import { type Streams, eventRoutes } from './routes/events.ts';
import { type HealthDeps, healthRoutes } from './routes/health.ts';
import { groupClaimRoutes } from './routes/group-claims.ts';
import { type KeyPackageSettings, keyPackageRoutes } from './routes/key-packages.ts';
import { memberRoutes } from './routes/members.ts';
import { type OffBoardingDeps, offBoardingRoutes } from './routes/off-boarding.ts';
import { externalSenderRoutes } from './routes/external-sender.ts';
import { type CutOffs, makeCutOffs } from './services/cut-offs.ts';
import { makeExternalSenders } from './services/external-senders.ts';
import { messageRoutes } from './routes/messages.ts';
import { pushRoutes } from './routes/push.ts';
import { positionRoutes } from './routes/positions.ts';
import { repairRoutes } from './routes/repair.ts';
import { roleRoutes } from './routes/roles.ts';
import { signalRoutes } from './routes/signals.ts';
import { streamTicketRoutes } from './routes/stream-tickets.ts';
import { unreadRoutes } from './routes/unread.ts';
import { welcomeRoutes } from './routes/welcomes.ts';
import { mountRoutes } from './http/mount.ts';
import type { Route } from './http/route.ts';

const TURNS: TurnsOptions = { perUser: REQUESTS_PER_USER, waitingPerUser: WAITING_REQUESTS_PER_USER };
const HEAVY_TURNS: TurnsOptions = {
  perUser: HEAVY_REQUESTS_PER_USER,
  waitingPerUser: WAITING_REQUESTS_PER_USER,
  longestMs: HEAVY_TURN_MS,
};

/** All parts that the API needs. */
export interface AppDeps extends HealthDeps {
  readonly incarnation: IncarnationWatch;
  readonly pool: pg.Pool;
  /** Reads pages of the log. @default from the pool */
  readonly readPage?: ReadPage;
  readonly log: Logger;
  readonly authenticate: Authenticate;
  /** Replaces user ids in logs. */
  readonly hashUser: (user: string) => string;
  readonly submitter: Submitter;
  readonly jobs: Jobs;
  readonly streams: Streams & Pick<StreamHub, 'countOf'>;
  readonly life: Pick<LifeStreams, 'open'>;
  readonly sendSignal: SendSignal;
  readonly submitIncrement: SubmitIncrement;
  readonly pathSwitch: AdminDeps['pathSwitch'];
  readonly autoReport: AdminDeps['autoReport'];
  readonly supervisor: SupervisorRouteDeps['supervisor'];
  readonly runs: WorkflowRuns;
  readonly runConsistencyAudit: RunConsistencyAudit;
  readonly inspection: AdminDeps['inspection'];
  readonly running: AdminDeps['running'];
  readonly own: AdminDeps['own'];
  readonly notifier: Pick<Notifier, 'device' | 'entry' | 'read'>;
  /** @default what it reads after an off-boarding began here */
  readonly cutOffs?: CutOffs;
  readonly offBoardingRuns: OffBoardingDeps['offBoardingRuns'];
  /** What the keys of the external sender are sealed with; absent = the service is none. */
  readonly externalSenderKey?: string | undefined;
  readonly seen: SeenDevices;
  readonly keyPackages: KeyPackageSettings;
  readonly observe: ObserveRequest;
  /** Where the commands of requests are. @default one that no dispatcher fills */
  readonly progress?: ProgressOfRequests;
  /** What an operator has chosen for a conversation. @default the setting, for all of them */
  readonly modeOf?: (conversation: string) => string;
  /** @default off */
  readonly tracing?: Tracing | undefined;
  readonly rateLimits: RateLimits;
  /** @default as in `domain/limits.ts` */
  readonly turns?: TurnsOptions;
  /** Turns of heavy requests, beside those of all requests. @default as in `domain/limits.ts` */
  readonly heavyTurns?: TurnsOptions;
  readonly transfers: Transfers;
  /** What to do when there is more work than this process can begin in time. @default nothing is shed */
  readonly loadShedding?: LoadShedding;
  readonly push: PushSettings;
  readonly requestDeadlineMs: number;
  readonly epochWindow: number;
  readonly voteAfterHours: number;
  readonly treeCheckMaxBytes: number;
  readonly trustProxy: number;
  /** Origins whose pages may use the API. @default none */
  readonly corsOrigins?: readonly string[];
  /** The web app; absent = its paths are not found. */
  readonly webApp?: WebAppOptions | undefined;
  /** The folder `docs` of the package. */
  readonly docsFolder: string;
}

/** All routes. The busiest routes come first, because the router tries them in this order. */
export function makeRoutes(
  deps: AppDeps,
  conversations = makeConversationCache(deps.pool),
  streamTickets: StreamTickets = makeStreamTickets(deps),
  cutOffs = deps.cutOffs ?? makeCutOffs(deps.pool),
  groupStates = makeGroupStates(deps),
): Route[] {
  const { pool, submitter } = deps;
  const operations = makeOperations({ submitter, conversations, pool });
  const groupChecks = makeGroupChecks(deps.jobs);
  const applyCommit = makeApplyCommit({ ...deps, conversations, groupStates, groupChecks, operations });
  const groupInfos = makeGroupInfos({ ...deps, conversations, groupStates, groupChecks, operations });
  const repair = makeRepair(conversations, operations);
  const checkProposer = makeCheckProposer(groupStates, deps.jobs);
  const askToJoin = makeAskToJoin({ pool: deps.pool, jobs: deps.jobs, operations, keyPackages: deps.keyPackages });
  const sendMessages = makeSendMessages({ conversations, operations, checkProposer, askToJoin });
  const leave = makeLeave({ conversations, operations, checkProposer });
  const eraseUser = makeEraseUser(deps);
  const createConversation = makeCreateConversation({ ...deps, groupChecks });
  const all = {
    ...deps,
    readPage: deps.readPage ?? makeReadPage(pool, undefined),
    conversations,
    streamTickets,
    operations,
    applyCommit,
    sendMessages,
    leave,
    eraseUser,
    createConversation,
    groupInfos,
    repair,
    cutOffs,
    externalSenderOf: makeExternalSenders(pool, deps.externalSenderKey),
  };
  const routes = [
    ...messageRoutes(all),
    ...deletionRoutes(all),
    ...signalRoutes(all),
    ...unreadRoutes(all),
    ...commitRoutes(all),
    ...epochRoutes(all),
    ...eventRoutes(all),
    ...streamTicketRoutes(all),
    ...positionRoutes(all),
    ...memberRoutes(all),
    ...roleRoutes(all),
    ...conversationRoutes(all),
    ...conversationListRoutes(all),
    ...repairRoutes(all),
    ...keyPackageRoutes(all),
    ...groupClaimRoutes(all),
    ...deviceRoutes(all),
    ...pushRoutes(all),
    ...welcomeRoutes(all),
    ...consentRoutes(all),
    ...healthRoutes(all),
    ...externalSenderRoutes(all),
    ...adminRoutes(all),
    ...adminLifeRoutes(all),
    ...offBoardingRoutes(all),
    ...adminConsistencyRoutes(all),
    ...supervisorRoutes(all),
  ];
  return [...routes, ...docsRoutes(routes, deps)];
}

/** What Node's HTTP server needs to serve the API. */
export interface App {
  readonly handler: RequestListener;
  readonly classes: MessageClasses;
}

/** The Express app, and before it the answers that are given again. */
export function createApp(deps: AppDeps): App {
  const kept = makeKeptAnswers();
  const app = express();
  app.disable('x-powered-by');
  // No ETag for every answer: hashing costs more than it saves. The epoch route sets its own ETag.
  app.set('etag', false);
  app.set('query parser', 'simple');
  app.set('case sensitive routing', true);
  app.set('trust proxy', deps.trustProxy);

  const limits = makeRateLimits(deps.rateLimits);
  const conversations = makeConversationCache(deps.pool);
  const cutOffs = deps.cutOffs ?? makeCutOffs(deps.pool);
  const groupStates = makeGroupStates(deps);
  // A restored database may know less, and something else under the same names.
  for (const cache of [conversations, groupStates, cutOffs, deps.seen]) deps.incarnation.onChange(cache.forgetAll);
  const { progress = new ProgressOfRequests(), modeOf = (): string => deps.pathSwitch.get().path, tracing } = deps;
  app.use(makeRequestContext({ ...deps, kept, progress, modeOf, tracing, deadlineMs: deps.requestDeadlineMs }));
  app.use(makeCommonHeaders(deps.isDraining));
  const streamTickets = makeStreamTickets(deps);
  const identify = byToken(deps.authenticate);
  const authenticatedBy = (one: IdentifyCaller): RequestHandler =>
    makeAuthenticated(one, cutOffs.refuses, deps.seen.note, limits.unauthenticated);
  mountRoutes(app, makeRoutes(deps, conversations, streamTickets, cutOffs, groupStates), {
    authenticated: authenticatedBy(identify),
    streamAuthenticated: authenticatedBy(byTicket(streamTickets.open, identify)),
    admitDevice: makeAdmitDevice(deps.seen.admit),
    takeTurn: makeTurns(deps.turns ?? TURNS),
    takeHeavyTurn: makeTurns(deps.heavyTurns ?? HEAVY_TURNS),
    conversations,
    limits,
    runOnce: makeRunOnce(deps),
    jobs: deps.jobs,
    loadShedding: deps.loadShedding,
  });
  app.use(ASSETS_PATH, referenceAssets());
  if (deps.webApp !== undefined) app.use(WEB_APP_PATH, webApp(deps.webApp));
  app.use(noSuchRoute);
  app.use(makeProblemRenderer({ log: deps.log, modeOf }));
  const classes = makeMessageClasses(app);
  const crossOrigin = makeCrossOrigin(deps.corsOrigins ?? [], deps.isDraining);
  return { handler: crossOrigin(kept.before(app, deps.isDraining)), classes };
}

function noSuchRoute(): never {
  throw new AppError('not-found');
}
