import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { useDatabase } from '../../harness/database.ts';
import type { Operation } from '../../../tools/fuzz/document.ts';
import { undocumented } from './judge.ts';
import { fuzzOptions } from '../../../tools/fuzz/options.ts';
import { inParallel } from './parallel.ts';
import { type Attempt, attempts } from './requests.ts';
import type { FuzzAnswer } from './sender.ts';
import { type World, startWorld } from './world.ts';

const { requests: REQUESTS, seed: SEED } = fuzzOptions();
/** Number of requests in flight. */
const IN_FLIGHT = 6;
/** Requests for each operation before the next round uses the ids in their answers. */
const ROUND = 8;
const ROUND_PUBLIC = 2;
/** Maximum number of findings that are shown. */
const SHOWN = 12;
const TIMEOUT_MS = 60_000 + REQUESTS * 20;

const database = useDatabase();
let world: World;
beforeAll(async () => {
  world = await startWorld(database().pool);
  for (const corpus of world.corpora) await world.makeMls(corpus);
});
afterAll(() => world.stop());

/** Number of answers by operation and status. */
type Tally = Map<string, Map<number, number>>;

describe('the service gives only documented answers', { timeout: TIMEOUT_MS }, () => {
  test(`to ${REQUESTS} requests made from the document (seed ${SEED})`, async () => {
    const findings = new Map<string, string>();
    const tally: Tally = new Map();
    const { operations } = world.api;
    for (let sent = 0, round = 0; sent < REQUESTS; round++) {
      // Requests delete conversations, so each round gets a new one.
      await world.makeOpaque();
      const made = operations.flatMap((operation, i) =>
        fc.sample(attempts(operation, world), {
          numRuns: operation.isPublic ? ROUND_PUBLIC : ROUND,
          seed: SEED + round * operations.length + i,
        }),
      );
      await inParallel(shuffled(made, SEED + round), IN_FLIGHT, async (attempt) => {
        const answer = await world.sender.send(attempt.request);
        if (attempt.addressed === attempt.operation) count(tally, attempt.operation, answer);
        for (const finding of judge(attempt, answer)) {
          const name = `${attempt.request.method} ${attempt.operation.template} ${finding}`;
          if (!findings.has(name)) findings.set(name, reproduction(attempt, answer));
        }
        if (answer.status < 300) learn(attempt, answer);
      });
      sent += made.length;
    }
    if (process.env.FUZZ_VERBOSE !== undefined) process.stderr.write(`${render(tally)}\n`);
    expect([...findings].slice(0, SHOWN).map(([name, how]) => `${name}\n    ${how}`)).toEqual([]);
    expect(world.errors()).toEqual([]);
    const never = operations.filter(({ name }) => ![...(tally.get(name)?.keys() ?? [])].some((status) => status < 300));
    // An operation that is always refused is tested badly. A few need more luck than this number of requests gives.
    expect(never.map(({ name }) => name).length, never.map(({ name }) => name).join()).toBeLessThan(
      operations.length / 5,
    );
  });
});

function judge({ addressed, operation, fault, request }: Attempt, answer: FuzzAnswer): string[] {
  // HTTP itself defines both methods. They belong to no operation.
  if (request.method === 'HEAD' || request.method === 'OPTIONS')
    return answer.status >= 500 || answer.text !== '' ? [`is ${answer.status} with ${answer.text}`] : [];
  const found = undocumented(world.api, addressed, answer);
  if (fault !== undefined && answer.status < 400) found.push(`is ${answer.status}, though ${generalise(fault)}`);
  const isElsewhere = addressed === undefined && ![400, 401, 404, 405].includes(answer.status);
  if (isElsewhere) found.push(`is ${answer.status} beside ${operation.name}`);
  return found.map(generalise);
}

/** Makes findings that differ only in ids and numbers equal. */
function generalise(finding: string): string {
  return finding
    .replaceAll(/"requestId":"[^"]*"/g, '')
    .replaceAll(/\/\d+/g, '/n')
    .slice(0, 400);
}

function reproduction({ request }: Attempt, answer: FuzzAnswer): string {
  const { status, text } = answer;
  const { method, target, headers, body = '' } = request;
  const { authorization: _authorization, ...shown } = headers;
  const sent = typeof body === 'string' ? body : Buffer.from(body).toString('latin1');
  return `${method} ${target.slice(0, 300)} ${JSON.stringify(shown)} ${sent.slice(0, 500)}\n    -> ${status} ${text.slice(0, 500)} ${world.errorOf(answer)}`;
}

function learn({ operation, request }: Attempt, { text, headers }: FuzzAnswer): void {
  const [, deleted] = /^\/v1\/conversations\/([^/?]+)$/.exec(request.target) ?? [];
  if (request.method === 'DELETE' && deleted !== undefined) world.known.forget('conversation', deleted);
  if (headers['content-type']?.includes('json') !== true || text === '' || text.length > 100_000) return;
  if (operation.template === '/openapi.json') return;
  world.known.learn(operation.template, JSON.parse(text));
}

function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const [order] = fc.sample(fc.shuffledSubarray([...items], { minLength: items.length }), { numRuns: 1, seed });
  return order ?? items;
}

function count(tally: Tally, { name }: Operation, { status }: FuzzAnswer): void {
  const statuses = tally.get(name) ?? new Map<number, number>();
  tally.set(name, statuses.set(status, (statuses.get(status) ?? 0) + 1));
}

function render(tally: Tally): string {
  const lines = [...tally].map(([name, statuses]) => {
    const shown = [...statuses].sort(([a], [b]) => a - b).map(([status, times]) => `${status}: ${times}`);
    return `${name.padEnd(24)} ${shown.join('  ')}`;
  });
  return lines.join('\n');
}
