import type { AttackCase } from '../attack-case.ts';
import { seedConversation } from '../seed.ts';
import { Tally } from '../tally.ts';

/** Texts that look like what the service gives out, and decode to something else. */
const TEXTS = [
  'AA',
  'AAAA',
  'e30',
  'bnVsbA',
  'W10',
  'WzFd',
  'eyJhIjoxfQ',
  'MA',
  'LTE',
  '//8',
  '\u0000',
  '9'.repeat(40),
];

export const opaqueInputs: AttackCase = {
  name: 'opaque-inputs',
  does: 'A user sends cursors, positions and ids that the service never gave out.',
  work: 'Decoding them to something that nobody expected.',
  run: async (target) => {
    const tally = new Tally();
    const failures: string[] = [];
    const id = await seedConversation(target.pool, ['fiddler', 'other']);
    const paths = [
      '/v1/conversations?cursor=',
      `/v1/conversations/${id}/members?cursor=`,
      '/v1/welcomes?cursor=',
      `/v1/conversations/${id}/messages?after=`,
      `/v1/conversations/${id}/messages?limit=`,
      `/v1/conversations/${id}/messages?kind=`,
      '/v1/conversations?limit=',
    ];
    for (const path of paths) {
      for (const text of TEXTS) {
        const what = `GET ${path}${encodeURIComponent(text)}`;
        const { status } = tally.add(await target.ask(what, { user: 'fiddler' }));
        if (status >= 500) failures.push(`${what.replace(id, '{id}')} was answered ${status}.`);
      }
    }
    for (const text of TEXTS) {
      const what = `POST /v1/welcomes/${encodeURIComponent(text)}/ack`;
      const { status } = tally.add(await target.ask(what, { user: 'fiddler', body: {} }));
      if (status >= 500) failures.push(`${what} was answered ${status}.`);
    }
    return { achieved: tally.counts, failures };
  },
};
