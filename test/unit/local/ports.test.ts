import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { freePort, loopback } from '../../../local/ports.ts';

/** Linux gives ports from here on to outgoing connections (`net.ipv4.ip_local_port_range`). */
const OUTGOING = 32_768;

test('free ports that are asked for at the same time are different, and nobody gets one of them by chance', async () => {
  const ports = await Promise.all(Array.from({ length: 40 }, freePort));
  expect(new Set(ports).size).toBe(40);
  expect(Math.max(...ports)).toBeLessThan(OUTGOING);
});

test('a port that is in use is not found', async () => {
  const port = await freePort();
  const server = createServer().listen(port, loopback);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  // More than a whole round.
  for (let i = 0; i < 110; i++) expect(await freePort()).not.toBe(port);
});
