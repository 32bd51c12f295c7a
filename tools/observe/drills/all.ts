import { BUILD_DRILLS } from './builds.ts';
import { CLIENT_DRILLS } from './clients.ts';
import type { Drill } from './drill.ts';
import { POSTGRES_DRILLS } from './postgres.ts';
import { PROCESS_DRILLS } from './processes.ts';

/** Every drill, in the order in which they run. */
export const DRILLS: readonly Drill[] = [...POSTGRES_DRILLS, ...PROCESS_DRILLS, ...CLIENT_DRILLS, ...BUILD_DRILLS];
