import { createHash, randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { startPostgres } from '../../../local/postgres.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { decide } from '../../../store/decision/decide.ts';
import type { OperationJson } from '../../../store/decision/inline-operation.ts';
import { parseDecision } from '../../../store/decision/parse-decision.ts';
import { migrate, readSchema } from '../../../store/migrate.ts';
import { makePool } from '../../../store/pool.ts';
import { cpuMs } from '../../load/process-stats.ts';
import { conversationId, seedConversations } from '../../load/seed.ts';
import { userName } from '../../load/tokens.ts';

// `npm run bench:calls -- [rounds]`: messages of many conversations, each decided by a call of its own (as release 0.2.0 did)
// against calls that they share, in one PostgreSQL, in turns. See ../README.md.
const [rounds = '10'] = process.argv.slice(2);
const CONVERSATIONS = 200;
const CONNECTIONS = 20;
const MESSAGES = 2000;
const BYTES = Buffer.alloc(512, 1);
const SHA256 = createHash('sha256').update(BYTES).digest('hex');
const SENDERS = [1, 16, 64] as const;

type Decide = (conversation: string, operations: readonly OperationJson[]) => Promise<unknown>;

interface Cost {
  readonly postgresMs: number;
  readonly nodeMs: number;
  readonly perSecond: number;
}

const folder = mkdtempSync(path.join(tmpdir(), 'parley-bench-postgres-'));
chmodSync(folder, 0o755);
const server = await startPostgres({ dataDir: path.join(folder, 'data'), say: () => undefined });
const url = server.url('postgres');
const pool = makePool({ url, max: CONNECTIONS, name: 'bench', statementTimeoutMs: 60_000 });
pool.on('error', () => undefined);
try {
  await migrate(pool, await readSchema(path.join(packageRoot(), 'store')));
  const conversations = Array.from({ length: CONVERSATIONS }, (_, i) => conversationId(`calls-${i}`));
  await seedConversations(
    pool,
    conversations.map((id) => ({ id, members: 2 })),
  );
  const sides: Readonly<Record<'single' | 'shared', Decide>> = {
    single: async (conversation, operations) => {
      const { rows } = await pool.query<{ decision: unknown }>({
        name: 'decide',
        text: 'select decide($1, $2, $3) as decision',
        values: [conversation, JSON.stringify(operations), [BYTES]],
      });
      return parseDecision(operations, rows[0]?.decision);
    },
    shared: (conversation, operations) => decide(pool, conversation, operations, [BYTES]),
  };
  for (const side of Object.values(sides)) await run(side, conversations, 16, MESSAGES);
  await analyze();
  process.stdout.write(
    `CPU per message, medians of ${rounds} rounds of ${MESSAGES} messages over ${CONVERSATIONS} conversations.\n`,
  );
  for (const senders of SENDERS) {
    const costs: Record<'single' | 'shared', Cost[]> = { single: [], shared: [] };
    for (let round = 0; round < Number(rounds); round++) {
      // Each first as often as the other.
      const order = round % 2 === 0 ? (['single', 'shared'] as const) : (['shared', 'single'] as const);
      for (const name of order) {
        costs[name].push(await run(sides[name], conversations, senders, senders === 1 ? MESSAGES / 4 : MESSAGES));
      }
    }
    for (const name of ['single', 'shared'] as const) print(`${senders} senders, ${name} calls`, costs[name]);
    const ratio = (of: (cost: Cost) => number): string =>
      median(costs.single.map((cost, i) => of(cost) / of(costs.shared[i] ?? cost))).toFixed(2);
    process.stdout.write(
      `${''.padEnd(28)}  ratio: Postgres ${ratio((cost) => cost.postgresMs)}, node ${ratio((cost) => cost.nodeMs)}, rate ${ratio((cost) => 1 / cost.perSecond)}\n`,
    );
  }
} finally {
  await pool.end();
  await server.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

/** Each sender sends its next message when the one before is decided. One conversation has one sender at a time. */
async function run(side: Decide, conversations: readonly string[], senders: number, messages: number): Promise<Cost> {
  const free = [...conversations];
  let left = messages;
  const before = { postgres: cpuMs(server.pid) ?? NaN, node: process.cpuUsage(), at: performance.now() };
  await Promise.all(
    Array.from({ length: senders }, async () => {
      while (left-- > 0) {
        const conversation = free.shift() ?? '';
        await side(conversation, [message()]);
        free.push(conversation);
      }
    }),
  );
  const { user, system } = process.cpuUsage(before.node);
  return {
    postgresMs: ((cpuMs(server.pid) ?? NaN) - before.postgres) / messages,
    nodeMs: (user + system) / 1000 / messages,
    perSecond: messages / ((performance.now() - before.at) / 1000),
  };
}

function message(): OperationJson {
  return {
    kind: 'message',
    id: randomUUID(),
    actor: userName(0),
    sha256: SHA256,
    epoch: 0,
    notAfter: Date.now() + 60_000,
    bytes: { ciphertext: 1 },
  };
}

function print(name: string, costs: readonly Cost[]): void {
  const of = (pick: (cost: Cost) => number): number => median(costs.map(pick));
  const columns = [
    name.padEnd(28),
    `Postgres ${of((cost) => cost.postgresMs).toFixed(3)} ms`,
    `node ${of((cost) => cost.nodeMs).toFixed(3)} ms`,
    `${of((cost) => cost.perSecond).toFixed(0)}/s`,
  ];
  process.stdout.write(`${columns.join('  ')}\n`);
}

async function analyze(): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('vacuum analyze');
  await client.end();
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}
