import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { readExamples } from '../../api/reference/examples.ts';
import { packageRoot } from '../../process/package-root.ts';
import { EXAMPLES_ENV, untilHealthy } from '../../tools/examples/recorder.ts';
import { hasChromium, useChromium } from '../harness/chromium.ts';
import { useService } from '../harness/service.ts';

/** For one step in the page. */
const STEP_MS = 30_000;

const run = readExamples(path.join(packageRoot(), 'docs'));

describe.skipIf(!hasChromium)('in Chromium, the API reference', () => {
  const service = useService({ apis: 1, workers: 1, env: EXAMPLES_ENV });
  const browser = useChromium();

  test('has the token, finds an operation, prints a curl that works, and sends it', async () => {
    const [url = ''] = service().urls();
    await untilHealthy(url);
    const { body } = run.find(({ operation, status }) => operation === 'createConversation' && status === 201) ?? {};
    const id = String(body?.id);
    const token = await service().token('alice');
    const page = await (await browser().newContext({ viewport: { width: 1600, height: 1000 } })).newPage();
    page.setDefaultTimeout(STEP_MS);
    const asked: string[] = [];
    const errors: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    page.on('pageerror', (error) => errors.push(error.message));

    await page.goto(`${url}/docs#token=${token}`);
    await page.getByRole('heading', { level: 1 }).first().waitFor();
    expect(page.url()).toBe(`${url}/docs`);

    await page.keyboard.press('Control+k');
    const search = page.getByRole('dialog', { name: 'Reference Search' });
    await search.getByRole('combobox').fill('create a conversation');
    await search.getByRole('option', { name: /Operation: Create a conversation/ }).click();

    const operation = page.getByRole('region', { name: 'Create a conversation' });
    const curl = operation.getByRole('code').filter({ hasText: /curl/ });
    await curl.filter({ hasText: id }).waitFor();
    expect(await curl.textContent()).toContain(token);
    await operation.getByRole('button', { name: /Test Request/ }).click();
    const client = page.getByRole('dialog', { name: 'API Client' });
    const [answer] = await Promise.all([
      page.waitForResponse((response) => response.request().method() === 'POST'),
      client.getByRole('button', { name: /^Send post request/ }).click(),
    ]);
    expect(answer.status()).toBe(201);
    expect(await answer.json()).toMatchObject({ id });
    await client.getByText('201 Created').first().waitFor();

    expect(asked.filter((target) => new URL(target).origin !== url && !target.startsWith('data:'))).toEqual([]);
    expect(errors).toEqual([]);
  });
});
