import type { AttackCase } from '../attack-case.ts';
import { newGroupId } from '../seed.ts';
import { Tally, failuresOf } from '../tally.ts';

const KEYS = 200_000;
const MAX_ANSWER_BYTES = 16 * 1024;

export const unknownKeys: AttackCase = {
  name: 'unknown-keys',
  does: 'A user sends a body with 200,000 unknown keys, and one with 100,000 wrong items in a list.',
  work: 'Naming each of them in the answer: 5 MB of problems.',
  run: async (target) => {
    const tally = new Tally();
    const keys = target.isShort ? KEYS / 10 : KEYS;
    const many = Object.fromEntries(Array.from({ length: keys }, (_, i) => [`k${i}`, i]));
    const bodies = [
      { id: newGroupId(), protocol: 'opaque', ...many },
      { id: newGroupId(), protocol: 'opaque', members: Array.from({ length: keys / 2 }, () => '') },
      { id: newGroupId(), protocol: 'opaque', policy: many },
    ];
    let largest = 0;
    for (const body of bodies) {
      const { text } = tally.add(await target.ask('POST /v1/conversations', { user: 'keymaster', body }));
      largest = Math.max(largest, text.length);
    }
    tally.note('bytes of the largest answer', largest);
    return {
      achieved: tally.counts,
      failures: failuresOf({
        [`An error answer has ${largest} bytes.`]: largest > MAX_ANSWER_BYTES,
        'A body with unknown keys was not refused as malformed.': tally.number((status) => status !== 400) > 0,
      }),
    };
  },
};
