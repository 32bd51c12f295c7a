import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import type pg from 'pg';
import { expect, test } from 'vitest';
import type { ENTRY_KINDS } from '../../../domain/log-entry.ts';
import type { Outcome } from '../../../domain/outcome.ts';
import { packOutcomes, slicePacked, unpackOutcomes } from '../../../domain/packed-outcome.ts';
import { makePolicy } from '../../../domain/policy.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { auditConversations } from '../../../store/consistency/audit.ts';
import { completeChains } from '../../../store/decision/complete-chains.ts';
import { chainAfter } from '../../../store/log/chain.ts';
import { retain } from '../../../store/retention/retention.ts';
import { useDatabase } from '../../harness/database.ts';
import { forgetChain } from '../../harness/older-chain.ts';
import { Model } from '../../harness/model.ts';
import {
  PROPERTY_TIMEOUT_MS,
  USERS,
  anyStep,
  makeRequests,
  message,
  propertyOptions,
} from '../../harness/random-requests.ts';
import { inline, send, sendStaged, startConversation } from '../../harness/requests.ts';

const database = useDatabase();
const MEMBERS = USERS.slice(0, 4);
const DAY_MS = 86_400_000;

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
/** The value before the first entry, from the specification. */
const origin = (id: string, protocol: 'mls' | 'opaque', epoch: number): Buffer => {
  const groupId = Buffer.from(id, 'base64url');
  return sha256(
    Buffer.from('parley log v1'),
    Buffer.from([groupId.length]),
    groupId,
    Buffer.from([protocol === 'mls' ? 1 : 2]),
    u64(epoch),
  );
};

interface ChainedRow {
  readonly seq: number;
  readonly kind: (typeof ENTRY_KINDS)[number];
  readonly epoch: number;
  readonly sha256: Buffer;
  readonly chain: Buffer | null;
}

async function log(pool: pg.Pool, conversation: string): Promise<ChainedRow[]> {
  const { rows } = await pool.query<ChainedRow>(
    `select e.seq, e.kind, e.epoch, e.sha256, e.chain from conversation c join entry e on e.conversation = c.key
     where c.id = $1 order by e.seq`,
    [conversation],
  );
  return rows;
}

async function ends(pool: pg.Pool, conversation: string): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<Record<string, unknown>>(
    'select chain, chain_base, base_epoch, oldest_chain, last_seq, oldest_seq from conversation where id = $1',
    [conversation],
  );
  return rows[0] ?? {};
}

/** Each value, computed again from the one before. */
function again(before: Buffer, rows: readonly ChainedRow[]): Buffer[] {
  let value = before;
  return rows.map((row) => (value = chainAfter(value, row)));
}

async function expectSound(pool: pg.Pool, conversation: string): Promise<void> {
  expect(await auditConversations(pool, [conversation])).toMatchObject({ checked: 1, findings: [] });
}

test('the page, a shell, SQL and the service compute the same values', async () => {
  const { pool } = database();
  const page = readFileSync(path.join(packageRoot(), 'docs', 'reference', 'log-chain.md'), 'utf8');
  const vectors = [...page.matchAll(/`([0-9a-f]{64})`/g)].map(([, hex = '']) => hex);
  const positions = [...page.matchAll(/`(\d\.[\w-]{16})`/g)].map(([, position = '']) => position);
  expect([vectors.length, positions.length]).toEqual([5, 4]);
  const [, script = ''] = /^```sh\n(.*?)^```$/ms.exec(page) ?? [];
  const { stdout } = await promisify(execFile)('sh', ['-c', script]);
  expect(stdout.trim().split('\n')).toEqual(vectors);

  const id = 'AAECAwQFBgcICQoLDA0ODw';
  const entries = [
    { seq: 1, kind: 'application', epoch: 0, sha256: sha256(Buffer.from('hello')), chain: null },
    { seq: 2, kind: 'commit', epoch: 0, sha256: sha256(Buffer.from('commit')), chain: null },
    { seq: 3, kind: 'proposal', epoch: 1, sha256: sha256(), chain: null },
  ] as const;
  const values = [origin(id, 'mls', 0), ...again(origin(id, 'mls', 0), entries)];
  expect(values.map((value) => value.toString('hex'))).toEqual(vectors.slice(0, 4));
  expect(values.map((value, seq) => `${seq}.${value.subarray(0, 12).toString('base64url')}`)).toEqual(positions);
  const { rows } = await pool.query<{ values: Buffer[] }>(
    `with recursive v (seq, value) as (
       select 0, chain_origin($1, 'mls', 0)
       union all select seq + 1, chain_after(value, seq + 1, ($2::text[])[seq + 1], ($3::bigint[])[seq + 1], ($4::bytea[])[seq + 1])
       from v where seq < 3)
     select array_agg(value order by seq) || sha256('parley base v1'::bytea || chain_origin($1, 'opaque', 5) || int8send(7)) as values
     from v`,
    [id, entries.map(({ kind }) => kind), entries.map(({ epoch }) => epoch), entries.map((entry) => entry.sha256)],
  );
  expect(rows[0]?.values.map((value) => value.toString('hex'))).toEqual(vectors);
});

test(
  'each entry has the value that follows from the one before, whatever wrote it, and each answer tells it (invariant 13)',
  async () => {
    const { pool } = database();
    const property = fc.asyncProperty(
      fc.constantFrom('mls' as const, 'opaque' as const),
      fc.boolean(),
      fc.array(anyStep, { maxLength: 20 }),
      fc.array(message, { minLength: 8, maxLength: 30 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 5 }),
      async (protocol, staged, steps, run, sizes) => {
        const conversation = await startConversation(pool, { protocol, members: MEMBERS, epoch: 3 });
        const policy = makePolicy({ groupInfo: 'optional' }, { epochWindow: 2 });
        const model = new Model({ protocol, creator: 'alice', members: MEMBERS, policy, epoch: 3 });
        const toRequest = makeRequests();
        const requests = [...steps, ...run].map((step) => {
          const request = toRequest(step, model);
          model.apply(request, Date.now());
          return request;
        });
        const { outcomes } = staged
          ? (await sendStaged(pool, conversation, requests)).decision
          : await send(pool, conversation, requests);

        const entries = await log(pool, conversation);
        const values = again(origin(conversation, protocol, 3), entries);
        expect(entries.map(({ chain }) => chain?.toString('hex'))).toEqual(
          values.map((value) => value.toString('hex')),
        );
        const last = values.at(-1) ?? origin(conversation, protocol, 3);
        expect(await ends(pool, conversation)).toMatchObject({ chain: last, chain_base: 0, base_epoch: 3 });

        const told = outcomes.map((outcome, i) => [requests[i]?.kind, outcome] as const);
        for (const [kind, outcome] of told) {
          if ((kind !== 'message' && kind !== 'commit') || outcome.status === 'refused') continue;
          const isEntry = kind === 'message' || 'sha256' in outcome;
          const seq = 'seq' in outcome ? outcome.seq : 0;
          expect('chain' in outcome ? outcome.chain : undefined).toBe(
            isEntry ? values[seq - 1]?.toString('base64') : undefined,
          );
        }
        // As the updates that share the batch get them, through Temporal.
        const { operations } = inline(requests);
        const packed = packOutcomes(outcomes, sizes);
        let from = 0;
        const unpacked: Outcome[] = [];
        for (const size of [...sizes, operations.length]) {
          const commands = operations.slice(from, from + size);
          unpacked.push(...completeChains(commands, unpackOutcomes(slicePacked(packed, from, commands.length))));
          from += size;
        }
        expect(unpacked).toEqual(outcomes);
        await expectSound(pool, conversation);
      },
    );
    await fc.assert(property, propertyOptions(100));
  },
  PROPERTY_TIMEOUT_MS,
);

test('a conversation that is older than the chain has one from its next decision on', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { epoch: 4 });
  const say = (id: string): Promise<unknown> =>
    send(pool, conversation, [{ kind: 'message', id, actor: 'alice', body: id }]);
  for (const id of ['a', 'b', 'c']) await say(id);
  await forgetChain(pool, conversation);
  await expectSound(pool, conversation);
  await say('d');
  const base = sha256(Buffer.from('parley base v1'), origin(conversation, 'mls', 4), u64(3));
  const entries = await log(pool, conversation);
  expect(entries.map(({ chain }) => chain)).toEqual([null, null, null, ...again(base, entries.slice(3))]);
  expect(await ends(pool, conversation)).toMatchObject({ chain_base: 3, base_epoch: 4, oldest_chain: null });
  await expectSound(pool, conversation);
});

test('retention remembers the value before the oldest kept entry, also where no entry is left', async () => {
  const { pool } = database();
  const conversation = await startConversation(pool, { policy: { retentionDays: 1, commitRetentionDays: 2 } });
  for (const id of ['a', 'b', 'c', 'd']) {
    await send(pool, conversation, [{ kind: 'message', id, actor: 'alice', body: id }]);
  }
  const entries = await log(pool, conversation);
  await pool.query(
    `update entry set at = at - interval '3 days' where seq <= 2 and conversation = (select key from conversation where id = $1)`,
    [conversation],
  );
  await retain(pool, conversation, Date.now(), 100);
  expect(await ends(pool, conversation)).toMatchObject({ oldest_seq: 3, oldest_chain: entries[1]?.chain });
  await expectSound(pool, conversation);

  await retain(pool, conversation, Date.now() + 5 * DAY_MS, 100);
  expect(await log(pool, conversation)).toEqual([]);
  const last = entries.at(-1)?.chain;
  expect(await ends(pool, conversation)).toMatchObject({ oldest_seq: 5, oldest_chain: last, chain: last });
  await send(pool, conversation, [{ kind: 'message', id: 'e', actor: 'alice', body: 'e' }]);
  const newest = await log(pool, conversation);
  expect(newest.map(({ chain }) => chain)).toEqual(again(last ?? Buffer.alloc(0), newest));
  await expectSound(pool, conversation);
});
