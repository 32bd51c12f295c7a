import type { Fault } from './fault.ts';
import { twoBuilds } from './faults/builds.ts';
import { clockJumps } from './faults/clocks.ts';
import { continueAsNew, lowMemory, rollingDeploy } from './faults/deploys.ts';
import { diskFull } from './faults/disks.ts';
import { apiKilled, postgresCrashed, temporalKilled, workerKilled, workersKilled } from './faults/kills.ts';
import { lineFaults } from './faults/lines.ts';
import { rowLocked, rowsLocked } from './faults/locks.ts';
import { pathSwitched } from './faults/paths.ts';
import { runsDeleted, runsEnded, runsReset, runsTerminated } from './faults/runs.ts';
import { apiStopped, postgresStopped, temporalStopped, workerStopped, workersStopped } from './faults/stops.ts';

/** Every fault, in the order of the report. */
export const FAULTS: readonly Fault[] = [
  apiKilled,
  workerKilled,
  workersKilled,
  temporalKilled,
  postgresCrashed,
  apiStopped,
  workerStopped,
  workersStopped,
  temporalStopped,
  postgresStopped,
  ...lineFaults,
  rowLocked,
  rowsLocked,
  diskFull,
  runsTerminated,
  runsReset,
  runsDeleted,
  runsEnded,
  continueAsNew,
  twoBuilds,
  clockJumps,
  lowMemory,
  rollingDeploy,
  pathSwitched,
];
