import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { historyFact } from '../../../dispatch/history-fact.ts';
import { historyFromPlain } from '../../../dispatch/history-json.ts';
import type { LifeHistory } from '../../../domain/life-event.ts';
import { packageRoot } from '../../../process/package-root.ts';

const FOLDER = path.join(packageRoot(), 'test', 'histories');
const RECORDED = readdirSync(FOLDER).filter((name) => name.startsWith('next-'));

type Plain = Readonly<Record<string, unknown>>;

function read(name: string): { facts: LifeHistory[]; plain: Plain } {
  const plain = JSON.parse(readFileSync(path.join(FOLDER, name), 'utf8')) as Plain;
  const { events } = historyFromPlain(plain);
  return { facts: (events ?? []).map((event) => historyFact('run', event)), plain };
}

/** Texts of every payload of a history, decoded, and each text in them. */
function payloadTexts(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { data } = value as { data?: unknown };
  const here = typeof data === 'string' ? textsIn(parse(Buffer.from(data, 'base64').toString('utf8'))) : [];
  return [...here, ...Object.values(value).flatMap(payloadTexts)];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}

test('every recorded history becomes facts with a time, a number and a kind', () => {
  const kinds = new Set<string>();
  for (const name of RECORDED) {
    const { facts } = read(name);
    expect(facts.map(({ eventId }) => eventId)).toEqual(facts.map((_, i) => i + 1));
    for (const { kind, at } of facts) {
      kinds.add(kind);
      expect(at).toBeGreaterThan(1_700_000_000_000);
    }
  }
  expect([...kinds]).toEqual(
    expect.arrayContaining([
      'started',
      'updateAccepted',
      'updateCompleted',
      'localActivity',
      'patch',
      'signal',
      'timerStarted',
      'timerFired',
      'workflowTaskCompleted',
      'workflowTaskFailed',
      'continuedAsNew',
      'completed',
      'terminated',
    ]),
  );
  expect([...kinds].filter((kind) => kind === 'unknown' || kind.includes('_'))).toEqual([]);
});

test('an update says how many operations it carries, a timer what it is for, a termination who wanted it', () => {
  const { facts } = read('next-messages.json');
  const byKind = (kind: string): LifeHistory | undefined => facts.find((fact) => fact.kind === kind);
  expect(byKind('updateAccepted')).toMatchObject({ name: 'sendMessages', facts: { operations: 1 } });
  expect(byKind('localActivity')).toMatchObject({ name: 'apply', facts: { attempt: 1 } });
  expect(byKind('timerStarted')).toMatchObject({ name: 'idle: the run completes', facts: { ms: 600_000 } });
  const terminated = read('next-reset.json').facts.find(({ kind }) => kind === 'terminated');
  expect(terminated?.facts).toEqual({ reason: 'test', by: 'history-resetter' });
});

test('nothing that a payload carries gets into facts, but the names of activities and patches and what events are for', () => {
  for (const name of RECORDED) {
    const { facts, plain } = read(name);
    const shown = facts.flatMap((fact) => [fact.kind, fact.name, ...Object.values(fact.facts)]).map(String);
    const allowed = new Set(
      facts.flatMap((fact) => [fact.name, fact.facts.summary, fact.facts.attributes]).map((text) => String(text)),
    );
    // Short words may occur in names, as `increment` does in `incrementUnread`.
    const isShown = (text: string): boolean =>
      shown.includes(text) || (text.length >= 16 && shown.some((value) => value.includes(text)));
    const leaked = payloadTexts(plain).filter((text) => text.length >= 8 && !allowed.has(text) && isShown(text));
    expect([name, leaked]).toEqual([name, []]);
  }
});
