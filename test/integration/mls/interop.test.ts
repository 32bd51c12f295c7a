import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { useApi } from '../../harness/api/use-api.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';

/** Sessions of real clients of three MLS libraries (ts-mls, OpenMLS, mls-rs), as HTTP requests with their right answers. */

interface Wanted {
  readonly status: number;
  readonly code?: string;
  readonly [field: string]: unknown;
}

interface Step {
  readonly user: string;
  readonly device: string;
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  /** The right answer: its status, its code, and whatever else the answer must have. */
  readonly want: Wanted;
}

const folder = path.join(packageRoot(), 'test/fixtures/interop');
const sessions = (await readdir(folder)).filter((name) => name.endsWith('.json'));
const { service } = useApi();

test.each(sessions)('the recorded session %s gets its right answers', async (name) => {
  const { steps } = JSON.parse(await readFile(path.join(folder, name), 'utf8')) as { readonly steps: readonly Step[] };
  for (const [index, { user, device, method, path: target, body, want }] of steps.entries()) {
    const authorization = `Bearer ${await tokenOf(user, { device })}`;
    const answer = await service.ask(`${method} ${target}`, { body, headers: { authorization } });
    const { status, ...fields } = want;
    expect([index, answer.status, answer.body]).toEqual([index, status, expect.objectContaining(fields)]);
    if (status < 400) expect(answer.body).not.toHaveProperty('code');
  }
});
