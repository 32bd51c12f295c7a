import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { packageRoot } from '../../../process/package-root.ts';
import { startArena } from '../../chaos/arena/arena.ts';
import { startLoad } from '../../chaos/load/load.ts';
import { startAudience } from '../../chaos/streams/audience.ts';
import { EDGE_TOOLS } from '../../edges/catalogue.ts';
import { installTool } from '../../edges/installers.ts';
import { spend } from '../../harness/wait-until.ts';
import { DASHBOARDS } from '../dashboards/all.ts';
import { startPrometheus } from '../prometheus.ts';
import { alertGroups, recordingGroups, renderGroups } from '../rules/render.ts';
import { makeTimes } from '../rules/times.ts';
import { watchArena } from '../watch-arena.ts';
import { drawDashboard } from './draw.ts';

// `npm run dashboards:pictures` draws each dashboard with the data of a short run, from the queries of its panels.

/** Windows of minutes are of seconds here. */
const SCALE = 20;
const WINDOW = '15s';
const STEP_SECONDS = 5;
const PHASE_MS = 25_000;
const LOAD = { conversations: 20, users: 5, perSecond: 30, deadlineMs: 10_000, seed: 7 };
const FOLDER = path.join(packageRoot(), 'docs', 'explanation', 'dashboards');

const [tool] = EDGE_TOOLS.filter(({ name }) => name === 'prometheus');
if (tool === undefined) throw new Error('The list of tools has no Prometheus');
const binary = await installTool(tool, path.join(packageRoot(), '.cache', 'edges'));
const t = makeTimes(SCALE);
const arena = await startArena({ path: 'auto', withSmallDisk: false, withMetrics: true });
try {
  const prometheus = await startPrometheus({
    binary,
    folder: path.join(arena.folder, 'prometheus'),
    rules: { 'alerts.yml': renderGroups(alertGroups(t), t), 'rules.yml': renderGroups(recordingGroups(t), t) },
    everySeconds: 2,
  });
  const unwatch = watchArena(prometheus, arena);
  const load = await startLoad({ ...LOAD, urls: arena.balancer.urls });
  const conversations = [...load.ledger.books.keys()];
  const audience = startAudience(load.people, { conversations, users: load.users, streams: 8 });
  await load.probe();
  const from = Date.now() / 1000;
  // Load, then a third of it without Temporal, then load again: so that the pictures show something.
  await spend(PHASE_MS);
  await arena.temporal.kill();
  await spend(PHASE_MS);
  await arena.untilReady();
  await spend(PHASE_MS);
  const until = Date.now() / 1000;
  mkdirSync(FOLDER, { recursive: true });
  for (const dashboard of DASHBOARDS) {
    const picture = await drawDashboard(dashboard, (expr) =>
      prometheus.range(expr.replaceAll('[w]', `[${WINDOW}]`), from, until, STEP_SECONDS),
    );
    writeFileSync(path.join(FOLDER, `${dashboard.name}.svg`), picture);
    process.stdout.write(`${dashboard.name}: ${Math.round(picture.length / 1000)} KB\n`);
  }
  audience.stop();
  await load.stop();
  unwatch();
  await prometheus.stop();
} finally {
  await arena.close();
}
