import type { Client } from '@temporalio/client';
import type pg from 'pg';
import type { AutoPath } from '../../dispatch/auto/auto-path.ts';
import type { Dispatcher } from '../../dispatch/dispatcher.ts';
import type { PathSwitch } from '../../dispatch/path-switch.ts';
import { makeRunNews } from '../../dispatch/run-news.ts';
import type { LifeEvent, LookForNews } from '../../domain/life-event.ts';
import type { IncarnationWatch } from '../../store/process/incarnation-watch.ts';
import { type OwnFacts, makeLogNews } from '../../streams/life/log-news.ts';
import type { LifeSource } from '../../streams/life/looker.ts';
import { makeSupervisorNews } from '../../streams/life/supervisor-news.ts';

/** Two short statements by keys, and now and then two more. */
const POSTGRES = { everyMs: 1000, pauseMs: 250 };
/** Temporal has other work than to be looked at. */
const TEMPORAL = { everyMs: 2000, pauseMs: 500 };
/** The supervisor acts once in some seconds. */
const SUPERVISOR_MS = 2000;

/** Where the facts about a conversation come from. */
export function makeLifeSources({
  pool,
  client,
  uiUrl,
  auto,
  dispatcher,
  pathSwitch,
  incarnation,
}: {
  readonly pool: pg.Pool;
  readonly client: Client;
  readonly uiUrl: string | undefined;
  readonly auto: AutoPath;
  readonly dispatcher: Pick<Dispatcher, 'loadOf'>;
  readonly pathSwitch: Pick<PathSwitch, 'pathOf'>;
  readonly incarnation: Pick<IncarnationWatch, 'current'>;
}): (conversation: string) => readonly LifeSource[] {
  const own = (conversation: string): OwnFacts => {
    const mode = pathSwitch.pathOf(conversation);
    const reason = mode === 'auto' ? auto.whyAway(conversation) : undefined;
    const { waiting, inFlight } = dispatcher.loadOf(conversation) ?? { waiting: 0, inFlight: 0 };
    const path = { mode, now: auto.pathNow(mode, conversation), ...(reason === undefined ? {} : { reason }) };
    return { path, waiting, inFlight };
  };
  const logNews = makeLogNews({ pool, own, incarnation: incarnation.current });
  const runNews = makeRunNews({ client, uiUrl });
  const supervisorNews = makeSupervisorNews(pool);
  return (conversation) => [
    { part: 'postgres', look: both(logNews(conversation), supervisorNews(conversation)), ...POSTGRES },
    { part: 'temporal', look: runNews(conversation), ...TEMPORAL },
  ];
}

/** One look for both, so that a trouble of Postgres is told once. */
function both(log: LookForNews, supervisor: LookForNews): LookForNews {
  let lookedAt = -Infinity;
  /** It is told once, so it waits until the log has answered too. */
  let waiting: readonly LifeEvent[] = [];
  return async () => {
    if (performance.now() - lookedAt >= SUPERVISOR_MS) {
      waiting = [...waiting, ...(await supervisor())];
      lookedAt = performance.now();
    }
    const news = [...(await log()), ...waiting];
    waiting = [];
    return news;
  };
}
