import type { AttackCase } from '../attack-case.ts';
import { newGroupId, seedConversation } from '../seed.ts';
import { Tally, failuresOf, telling } from '../tally.ts';

const KB = 1024;
const SIZES = [0, 1, 100, 10 * KB, 200 * KB, KB * KB, 7 * KB * KB];
const ROUTES = [
  'POST commits',
  'POST messages',
  'POST members',
  'PUT group-info',
  'POST reports',
  'POST read',
  'PATCH',
];

export const malformedBodies: AttackCase = {
  name: 'malformed-bodies',
  does: 'A stranger sends bodies of all sizes that are no JSON, deep JSON, and JSON of the wrong shape to a conversation of others and to none.',
  work: 'Reading and parsing everything before anybody asks whether the caller belongs there.',
  run: async (target) => {
    const tally = new Tally();
    const existing = await seedConversation(target.pool, ['owner']);
    const missing = newGroupId();
    const differing: string[] = [];
    const shapes: ((size: number) => string)[] = [
      (size) => 'x'.repeat(size),
      (size) => '['.repeat(Math.min(size, 100 * KB)),
      (size) => JSON.stringify({ surprise: 'A'.repeat(size) }),
    ];
    for (const route of ROUTES) {
      const [method = '', rest = ''] = route.split(' ');
      for (const size of target.isShort ? SIZES.slice(0, 5) : SIZES) {
        for (const shape of shapes) {
          const raw = shape(size);
          const ask = async (id: string): Promise<string> => {
            const path = `/v1/conversations/${id}${rest === '' ? '' : `/${rest}`}`;
            return telling(tally.add(await target.ask(`${method} ${path}`, { user: 'stranger', raw })));
          };
          const [one, other] = [await ask(existing), await ask(missing)];
          if (one !== other)
            differing.push(`${route} with ${size} bytes: ${one.slice(0, 80)} and ${other.slice(0, 80)}`);
        }
      }
    }
    return {
      achieved: tally.counts,
      failures: [
        ...differing.slice(0, 3),
        ...failuresOf({
          'A stranger got an answer other than 404 and 413.':
            tally.number((status) => ![404, 413].includes(status)) > 0,
        }),
      ],
    };
  },
};
