import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { type History, historyFromText } from '../../../tools/histories/format.ts';
import { PLANTED } from '../../../tools/histories/planted.ts';
import { quietRuntime } from '../../../tools/harness/conversations.ts';
import { SUPERVISOR_WORKFLOW } from '../../../workflows/names.ts';
import { PATCH } from '../../../workflows/patches.ts';
import { readBundle } from '../../../worker/create-worker.ts';
import { replayOptions } from '../../../worker/replay.ts';
import { messageNames } from '../../../tools/harness/message-names.ts';

const folder = path.join(packageRoot(), 'test', 'histories');
const files = readdirSync(folder).filter((name) => name.endsWith('.json') && name !== 'manifest.json');
const texts = new Map(files.map((name) => [name, readFileSync(path.join(folder, name), 'utf8')]));
const histories = new Map<string, History>([...texts].map(([name, text]) => [name, historyFromText(text)]));
const ADVICE = 'record them: npm run histories';

test('every stored history is the one that was recorded, and none is missing', () => {
  const manifest = JSON.parse(readFileSync(path.join(folder, 'manifest.json'), 'utf8')) as Record<string, string>;
  const stored = Object.fromEntries(
    [...texts].map(([name, text]) => [name, createHash('sha256').update(text).digest('hex')]),
  );
  expect(stored).toEqual(manifest);
  expect(files.length, ADVICE).toBeGreaterThan(0);
});

test('every workflow type, update and signal has a stored history', () => {
  const events = [...histories.values()].flatMap((history) => history.events ?? []);
  const seen = {
    workflows: events.map((event) => event.workflowExecutionStartedEventAttributes?.workflowType?.name),
    updates: events.map((event) => event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest?.input?.name),
    signals: events.map((event) => event.workflowExecutionSignaledEventAttributes?.signalName),
  };
  for (const kind of ['workflows', 'updates', 'signals'] as const) {
    expect(messageNames[kind].length).toBeGreaterThan(0);
    expect(new Set(seen[kind]), ADVICE).toEqual(new Set([...messageNames[kind], undefined]));
  }
});

test('every end of a run has a stored history', () => {
  const ends = [...histories.values()].map((history) => {
    const last = history.events?.at(-1);
    if (last?.workflowExecutionContinuedAsNewEventAttributes) return 'continue';
    const [payload] = last?.workflowExecutionCompletedEventAttributes?.result?.payloads ?? [];
    const result = !payload?.data?.length
      ? {}
      : (JSON.parse(Buffer.from(payload.data).toString()) as { reason?: string });
    return result.reason;
  });
  expect(ends).toEqual(expect.arrayContaining(['continue', 'idle', 'shutdown']));
});

test.each(Object.values(PATCH))('there are stored histories with the change `%s`, and others without it', (patch) => {
  const has = ({ events }: History): boolean =>
    (events ?? []).some(({ markerRecordedEventAttributes: marker }) => {
      const [{ data } = {}] = marker?.details?.['patch-data']?.payloads ?? [];
      return data !== undefined && Buffer.from(data ?? []).includes(patch);
    });
  expect(new Set([...histories.values()].map(has)), ADVICE).toEqual(new Set([true, false]));
});

/** The supervisor has a bundle of its own. */
const bundleOf = ({ events }: History): 'conversation' | 'supervisor' => {
  const type = events?.[0]?.workflowExecutionStartedEventAttributes?.workflowType?.name;
  return type === SUPERVISOR_WORKFLOW ? 'supervisor' : 'conversation';
};

test.each(['conversation', 'supervisor'] as const)(
  'the workflow code replays every stored history that is of the bundle %s',
  async (bundle) => {
    quietRuntime();
    const wanted = [...histories].filter(([, history]) => bundleOf(history) === bundle);
    expect(wanted.length, ADVICE).toBeGreaterThan(0);
    // One call for all: a worker of its own for each would be slow, and errors of the handles would be reported otherwise.
    const results = Worker.runReplayHistories(
      await replayOptions(await readBundle(bundle)),
      wanted.map(([workflowId, history]) => ({ workflowId, history })),
    );
    const replayed: string[] = [];
    for await (const { workflowId, error } of results) {
      expect(error, `${workflowId} does not replay: the change needs a patch`).toBeUndefined();
      replayed.push(workflowId);
    }
    expect(replayed.sort()).toEqual(wanted.map(([name]) => name).sort());
  },
);

describe('a stored history holds no secret (invariant 10)', () => {
  let opened: [string, string][];
  beforeAll(() => {
    opened = [...texts].map(([name, text]) => [name, openPayloads(JSON.parse(text) as unknown).join('\n')]);
  });

  test.each(Object.entries(PLANTED))('not the planted %s, in no encoding', (_, value) => {
    for (const encoding of ['utf8', 'base64', 'base64url', 'hex'] as const) {
      const secret = Buffer.from(value).toString(encoding);
      for (const [name, text] of opened) expect(text.includes(secret), `${name} holds it as ${encoding}`).toBe(false);
    }
  });

  test('although each of the scenarios carried some', () => {
    // The look-out itself works: what may stand there is found inside the payloads.
    expect(opened.some(([, text]) => text.includes('"kind":"message"'))).toBe(true);
    expect(opened.some(([, text]) => text.includes('"adds":["dave"]'))).toBe(true);
  });
});

/** Every string of a history, and what its payloads hold. */
function openPayloads(value: unknown): string[] {
  if (typeof value === 'string') return [value, Buffer.from(value, 'base64').toString('utf8')];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(openPayloads);
}
