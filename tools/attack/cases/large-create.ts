import { type EventStream, openAccountStream } from '../../harness/event-stream.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import type { AttackCase } from '../attack-case.ts';
import { newGroupId } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const MEMBERS = 10_000;
const READERS = 20;
/** `conversation`, `members`, and at most one that names the reader itself. */
const MAX_EVENTS = 3;

export const largeCreate: AttackCase = {
  name: 'large-create',
  does: 'A user creates a conversation with 10,000 members while twenty of them have their streams open.',
  work: 'An event for each member to each stream: 200,000 events.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const readers = Array.from({ length: READERS }, (_, i) => `reader-${i}`);
    const streams = await Promise.all(
      readers.map(async (user) => openAccountStream(target.url, await target.token(user))),
    );
    const others = Array.from({ length: MEMBERS - READERS - 1 }, (_, i) => `crowd-${i}`);
    const body = {
      id: newGroupId(),
      protocol: 'opaque',
      members: ['crier', ...readers, ...others],
      policy: { maxMembers: MEMBERS, externalJoin: 'nobody' },
    };
    tally.add(await target.ask('POST /v1/conversations', { user: 'crier', body }));
    const count = ({ events }: EventStream): number => events.length;
    await waitUntil(() => streams.every((stream) => count(stream) > 0), { what: 'each stream has news' }).catch(() =>
      tally.note('streams without news', streams.filter((stream) => count(stream) === 0).length),
    );
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const most = Math.max(...streams.map(count));
    tally.note('events of the busiest stream', most);
    for (const stream of streams) stream.close();
    return {
      achieved: tally.counts,
      failures: failuresOf({ [`One create sent ${most} events to a stream.`]: most > MAX_EVENTS }),
    };
  },
};
