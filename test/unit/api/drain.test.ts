import type pg from 'pg';
import { expect, test } from 'vitest';
import { adminDrainRoutes } from '../../../api/routes/admin-drain.ts';
import type { AdminDeps } from '../../../api/routes/admin-deps.ts';
import type { PathSetting } from '../../../dispatch/path-switch.ts';

const BEFORE: PathSetting = { path: 'auto', rollout: 50 };

/** The routes of a process with the setting `drain` in a database, and a path whose next change may fail. */
function start(): {
  readonly call: (method: 'post' | 'delete') => Promise<unknown>;
  readonly path: () => PathSetting;
  readonly failNextChange: () => void;
} {
  let stored: unknown = null;
  let path = BEFORE;
  let fails = false;
  const query = (query: string | { text: string; values?: unknown[] }, values: unknown[] = []): Promise<unknown> => {
    const text = typeof query === 'string' ? query : query.text;
    if (text.includes('insert into setting')) stored = JSON.parse(String(values[1]));
    return Promise.resolve({ rows: text.includes('into audit') ? [{ key: 1 }] : [{ value: stored, clock: 0 }] });
  };
  const set = (setting: PathSetting): Promise<void> => {
    if (fails) {
      fails = false;
      return Promise.reject(new Error('the connection ended'));
    }
    path = setting;
    return Promise.resolve();
  };
  const deps: Partial<AdminDeps> = {
    pool: { query } as unknown as pg.Pool,
    pathSwitch: { get: () => path, set },
    running: {
      count: () => Promise.resolve({ running: 0, failed: 0 }),
      list: () => Promise.resolve([]),
      pollers: () => Promise.resolve([]),
    },
  };
  const routes = adminDrainRoutes(deps as AdminDeps);
  const request = { body: { limit: 1, terminate: false }, caller: { user: 'op' }, deadline: Date.now() + 10_000 };
  return {
    call: async (method) => routes.find((route) => route.method === method)?.handle(request as never),
    path: () => path,
    failNextChange: () => (fails = true),
  };
}

test('a drain whose begin was interrupted takes the direct path with its next step, and its end brings back the setting', async () => {
  const { call, path, failNextChange } = start();
  failNextChange();
  await expect(call('post')).rejects.toThrow('the connection ended');
  expect(path()).toEqual(BEFORE);
  await call('post');
  expect(path()).toEqual({ path: 'direct', rollout: 100 });
  await call('delete');
  expect(path()).toEqual(BEFORE);
});

test('an end that was interrupted is made again', async () => {
  const { call, path, failNextChange } = start();
  await call('post');
  failNextChange();
  await expect(call('delete')).rejects.toThrow('the connection ended');
  expect(path()).toEqual({ path: 'direct', rollout: 100 });
  await call('delete');
  expect(path()).toEqual(BEFORE);
});
