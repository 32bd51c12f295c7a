import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { freePort, loopback } from '../../../local/ports.ts';
import { isAlive } from '../../../tools/demo/local-stack.ts';

test('the demo takes no other server for the service, though it has a page for every path', async () => {
  let text = 'OK';
  const port = await freePort();
  const server = createServer((_request, response) => response.end(text)).listen(port, loopback);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const url = `http://${loopback}:${port}`;
  expect(await isAlive(url)).toBe(true);
  text = '<!doctype html>';
  expect(await isAlive(url)).toBe(false);
});
