import { type EventStream, openAccountStream, openEventStream, seqsOf, signalsOf } from '../../harness/event-stream.ts';
import { waitUntil } from '../../harness/wait-until.ts';
import type { AttackCase } from '../attack-case.ts';
import { seedConversation } from '../seed.ts';
import { Tally } from '../tally.ts';

const NAMES = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf'];

export const prototypeNames: AttackCase = {
  name: 'prototype-names',
  does: 'Users whose names every plain object has read their streams while others write.',
  work: 'None. They are members like all others.',
  hasShortForm: false,
  run: async (target) => {
    const tally = new Tally();
    const failures: string[] = [];
    const id = await seedConversation(target.pool, ['writer', 'leaver', ...NAMES]);
    const streams: { name: string; kind: string; stream: EventStream }[] = [];
    for (const name of NAMES) {
      const token = await target.token(name);
      streams.push({ name, kind: 'conversation', stream: await openEventStream(target.url, id, token, { after: 0 }) });
      streams.push({ name, kind: 'account', stream: await openAccountStream(target.url, token) });
    }
    const body = { id: 'm', ciphertext: 'AAAA' };
    tally.add(await target.ask(`POST /v1/conversations/${id}/messages`, { user: 'writer', body }));
    // Each stream looks at its members again after such a change.
    const change = { policy: { maxMembers: 900 } };
    tally.add(await target.ask(`PATCH /v1/conversations/${id}`, { user: 'writer', body: change }));
    tally.add(await target.ask(`POST /v1/conversations/${id}/members/leaver/remove`, { user: 'writer', body: {} }));
    for (const { name, kind, stream } of streams) {
      const hasEntry = (): boolean =>
        kind === 'account' ? signalsOf(stream).length > 0 || seqsOf(stream).length > 0 : seqsOf(stream).includes(1);
      await waitUntil(hasEntry, { what: `${name} reads`, timeoutMs: 3000 }).catch(() =>
        failures.push(`The ${kind} stream of the user ${name} brings nothing.`),
      );
    }
    // The poll of memberships runs each second.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    for (const { name, kind, stream } of streams) {
      const isRemoved = signalsOf(stream).some(({ event, data }) => {
        const text = JSON.stringify(data);
        return event === 'removed' || (text.includes('"removed"') && text.includes(JSON.stringify(name)));
      });
      if (isRemoved) failures.push(`The ${kind} stream of the user ${name} says that it was removed.`);
      tally.note(isRemoved ? 'streams that say removed' : 'streams that go on');
      stream.close();
    }
    return { achieved: tally.counts, failures };
  },
};
