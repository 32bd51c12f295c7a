import { closedLoop, sleep } from '../load/closed-loop.ts';
import { residentMb } from '../load/process-stats.ts';
import type { Servers } from '../harness/servers.ts';
import { touch } from './cases.ts';
import type { ContenderName } from './contender.ts';
import { startContender } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { CONVERSATIONS, makeMessenger } from './world.ts';

/** Load that brings a new worker to its working size before the measurement. */
const WARM_UP = { senders: 64, warmUpMs: 0, measureMs: 3000 };
/** Time for the work that a worker does after its last answer. */
const SETTLE_MS = 1000;

/**
 * Resident memory of a worker for each conversation in its cache. A separate worker is warmed up on other
 * conversations, and measured before and after `count` new conversations got one message each.
 */
export async function measureMemory(given: {
  readonly name: ContenderName;
  readonly servers: Servers;
  readonly databaseUrl: string;
  readonly count: number;
}): Promise<Measurement[]> {
  const { count, ...options } = given;
  const contender = await startContender({ ...options, suffix: '-memory' });
  try {
    const { workerPid } = contender;
    if (workerPid === undefined) return [];
    const messenger = await makeMessenger(contender);
    const { failures } = await closedLoop({
      ...WARM_UP,
      send: (sender) => messenger.send(CONVERSATIONS.warmingHot, sender),
    });
    failures.push(...(await touch(messenger, CONVERSATIONS.warming)));
    await sleep(SETTLE_MS);
    const before = residentMb(workerPid);
    failures.push(...(await touch(messenger, CONVERSATIONS.cached.slice(0, count))));
    await sleep(SETTLE_MS);
    const after = residentMb(workerPid);
    await messenger.http.close();
    if (before === undefined || after === undefined) return [];
    const values = {
      conversations: count,
      beforeMb: before,
      afterMb: after,
      mbPerConversation: (after - before) / count,
    };
    return [{ load: 'memory', contender: given.name, values, errors: failures }];
  } finally {
    await contender.stop();
  }
}
