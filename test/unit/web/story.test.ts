import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import type { ControlState, Part } from '../../../web/control/parts.ts';
import { NO_STACK, type StackView, withState } from '../../../web/control/stack.ts';
import { BACKUP, BREAKAGES, CUT, labelOf, whyNot } from '../../../web/break/actions.ts';
import { secondsLeft, storyOf } from '../../../web/break/story.ts';
import type { LifeOperation } from '../../../web/life/life-event.ts';
import { operationFact } from '../../../web/life/words/operation-words.ts';
import { factOf } from '../../../web/life/words/fact-words.ts';

const part = (name: Part['name'], state: Part['state'], since = 1, restarts = 0): Part => ({
  ...{ name, state, since, restarts },
});
const state = (parts: readonly Part[], action: ControlState['action'] = null): ControlState => ({
  ...{ parts, backup: { takenAt: 1 }, action },
});
const operation = (at: number, path: 'workflow' | 'direct', reason: string): LifeOperation => ({
  ...{ type: 'operation', at, operation: `m${at}`, kind: 'message', path, reason, outcome: 'accepted', seq: at, ms: 5 },
});
const all = ['postgres', 'temporal', 'worker', 'api'] as const;

describe('the story of a breakage', () => {
  test('tells what was seen, in its order', () => {
    let view: StackView = withState(NO_STACK, state([part('temporal', 'running')]));
    view = withState(view, state([part('temporal', 'paused', 100)]));
    view = withState(view, state([part('temporal', 'running', 120)]));
    const trouble = factOf({ type: 'trouble', at: 105, part: 'temporal', code: 'unavailable' }, {});
    const facts = [
      operationFact(operation(121, 'workflow', 'auto')),
      operationFact(operation(112, 'direct', 'breaker')),
      operationFact(operation(110, 'direct', 'breaker')),
      trouble,
      operationFact(operation(50, 'workflow', 'auto')),
    ].filter((fact) => fact !== undefined);
    expect(storyOf(100, view, facts).map(({ text }) => text)).toEqual([
      'Temporal is stopped: it answers nobody',
      'Temporal does not answer. The API decides by itself until it answers',
      'A message was accepted as number 110 of the log after 5 ms, directly by the API: Temporal does not answer',
      'Temporal runs again',
      'A message was accepted as number 121 of the log after 5 ms, by the workflow',
    ]);
  });

  test('counts starts', () => {
    let view = withState(NO_STACK, state([part('worker', 'running')]));
    view = withState(view, state([part('worker', 'down', 100)]));
    view = withState(view, state([part('worker', 'running', 101, 1)]));
    expect(storyOf(100, view, []).map(({ text }) => text)).toEqual(['Worker is down', 'Worker runs again (start 2)']);
  });

  test('counts down only what has a fixed end', () => {
    expect(secondsLeft({ what: 'stop-temporal', since: 1000 }, 6500, 20_000)).toBe(15);
    expect(secondsLeft({ what: 'stop-temporal', since: 1000 }, 60_000, 20_000)).toBe(0);
    expect(secondsLeft({ what: 'kill-api', since: 1000 }, 6500, 20_000)).toBeUndefined();
    expect(secondsLeft(null, 6500, 20_000)).toBeUndefined();
  });
});

describe('a button', () => {
  const running = state(all.map((name) => part(name, 'running')));

  test('works while its part runs', () => {
    for (const one of [...BREAKAGES, ...Object.values(BACKUP)]) expect(whyNot(one, running, 'c')).toBeUndefined();
  });

  test('says why it does not', () => {
    const worker = BREAKAGES.find(({ what }) => what === 'kill-worker') ?? BACKUP.take;
    const terminate = BREAKAGES.find(({ what }) => what === 'terminate-workflow') ?? BACKUP.take;
    expect(whyNot(worker, undefined, 'c')).toBe('The control server has not answered yet.');
    const busy = state([part('worker', 'running')], { what: 'kill-api', since: 1 });
    expect(whyNot(worker, busy, 'c')).toBe('First this ends: Kill the API.');
    expect(whyNot(worker, state([part('worker', 'external')]), 'c')).toBe('Worker was not started by npm start.');
    expect(whyNot(worker, state([part('worker', 'down')]), 'c')).toBe('Worker does not run now.');
    expect(whyNot(terminate, running, undefined)).toBe('Open a conversation first.');
    expect(whyNot(BACKUP.restore, { ...running, backup: null }, 'c')).toBe('There is no backup yet.');
  });

  test('has a name for each action', () => {
    expect(labelOf('restore-backup')).toBe('Restore the backup');
  });

  test('stands in the page about all of them by its name', () => {
    const page = readFileSync(path.join(packageRoot(), 'docs', 'how-to', 'break-it.md'), 'utf8');
    const rows = [...page.matchAll(/^\| (?<label>[^|]+?) +\|/gm)].map(({ groups }) => groups?.label ?? '');
    const named = rows.filter((label) => label !== 'button' && !label.startsWith('-'));
    const labelsOf = (all: readonly { readonly label: string }[]): string[] => all.map(({ label }) => label);
    const labels = [...labelsOf(BREAKAGES), CUT.begin, ...labelsOf(Object.values(BACKUP))];
    expect(named).toEqual(labels);
    // In sentences they stand in quotation marks.
    for (const [, quoted = ''] of page.matchAll(/"([^"]+)"/g)) expect(labels).toContain(quoted);
  });
});
