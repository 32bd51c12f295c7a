import { measureActive } from './cases/active.ts';
import { measureInbox } from './cases/inbox.ts';
import { measureMembers } from './cases/members.ts';
import { measureMessages } from './cases/messages.ts';
import { measureProcesses } from './cases/processes.ts';
import { measureRows } from './cases/rows.ts';
import { measureShards } from './cases/shards.ts';
import { measureStreams } from './cases/streams.ts';
import type { Curve } from './curve.ts';
import type { World } from './world.ts';

/** Name -> measures the curve. */
export const CASES: ReadonlyMap<string, (world: World) => Promise<Curve>> = new Map([
  ['messages', measureMessages],
  ['members', measureMembers],
  ['rows', measureRows],
  ['active', measureActive],
  ['streams', measureStreams],
  ['inbox', measureInbox],
  ['processes', measureProcesses],
]);

/** Needs Go: only measured with `--shards`. */
export const SHARDS = { name: 'shards', measure: measureShards } as const;
