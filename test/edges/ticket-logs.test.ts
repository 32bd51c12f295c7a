import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startChild } from '../../local/child.ts';
import { freePort } from '../../local/ports.ts';
import { createCleanup } from '../../process/cleanup.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import { useFolder } from '../harness/folder.ts';
import { blocksOf, read } from '../harness/markdown.ts';

const haproxy = edgeTool('haproxy') ?? '';

describe.skipIf(haproxy === '')('HAProxy with the log format of docs/how-to/browser.md', () => {
  const folder = useFolder();
  const cleanup = createCleanup();
  let url = '';
  beforeAll(async () => {
    const port = await freePort();
    const format = blocksOf(read('docs/how-to/browser.md')).find(({ language }) => language === 'haproxy')?.text ?? '';
    const file = path.join(folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  log stdout format raw local0 info
defaults
  mode http
  log global
  timeout client 5s
frontend all
  bind 127.0.0.1:${port}
  ${format}
  http-request return status 200
`,
    );
    const logFile = path.join(folder, 'haproxy.log');
    const proxy = await startChild({ command: haproxy, args: ['-f', file], logFile, env: {} });
    cleanup.add('proxy', () => proxy.stop('SIGTERM', 5000));
    url = `http://127.0.0.1:${port}`;
    await waitUntil(async () => (await fetch(url).catch(() => undefined))?.ok === true, { what: 'the proxy answers' });
  });
  afterAll(() => cleanup.run());

  test('logs the path of a stream, and not its ticket', async () => {
    await fetch(`${url}/v1/events?ticket=a-secret-of-somebody`);
    const log = (): string => readFileSync(path.join(folder, 'haproxy.log'), 'utf8');
    await waitUntil(() => log().includes('GET /v1/events'), { what: 'the request is logged' });
    expect(log()).not.toContain('ticket');
  });
});
