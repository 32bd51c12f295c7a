import { pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { type PathSetting, type PathSwitch, bucketOf, makePathSwitch } from '../../../dispatch/path-switch.ts';
import { writeSetting } from '../../../store/settings.ts';
import { newConversationId } from '../../../tools/harness/opaque.ts';
import { useDatabase } from '../../harness/database.ts';

const database = useDatabase();

interface Watched extends PathSwitch {
  readonly lines: string[];
  readonly unknown: () => number;
}

/** The switch of one process, as it starts with this setting in its environment. */
async function start(initial: PathSetting): Promise<Watched> {
  const lines: string[] = [];
  let unknown = 0;
  const pathSwitch = await makePathSwitch({
    pool: database().pool,
    notifier: { entry: () => undefined, device: () => undefined, setting: () => Promise.resolve() } as never,
    initial,
    log: pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) }),
    onUnknown: () => unknown++,
  });
  onTestFinished(pathSwitch.close);
  return { ...pathSwitch, lines, unknown: () => unknown };
}

test('a setting that this version does not know is ignored, with one line and a count, and the one before it stays', async () => {
  await writeSetting(database().pool, 'path', { path: 'workflow', rollout: 100 });
  const one = await start({ path: 'auto', rollout: 100 });
  expect(one.get()).toEqual({ path: 'workflow', rollout: 100 });
  await writeSetting(database().pool, 'path', { path: 'of-a-later-version', rollout: 100 });
  await one.refresh();
  await one.refresh();
  expect(one.get()).toEqual({ path: 'workflow', rollout: 100 });
  expect(one.unknown()).toBe(1);
  expect(one.lines.filter((line) => line.includes('of-a-later-version'))).toHaveLength(1);
});

test('the stored setting wins over the environment, also in processes that start later', async () => {
  const one = await start({ path: 'auto', rollout: 100 });
  await one.set({ path: 'direct', rollout: 100 });
  expect((await start({ path: 'auto', rollout: 100 })).get()).toEqual({ path: 'direct', rollout: 100 });
});

test('auto for some of the conversations leaves the others on the workflow', async () => {
  const one = await start({ path: 'auto', rollout: 100 });
  await one.set({ path: 'auto', rollout: 30 });
  const ids = Array.from({ length: 300 }, newConversationId);
  for (const id of ids) expect(one.pathOf(id)).toBe(bucketOf(id) < 30 ? 'auto' : 'workflow');
  expect(new Set(ids.map(one.pathOf))).toEqual(new Set(['auto', 'workflow']));
});
