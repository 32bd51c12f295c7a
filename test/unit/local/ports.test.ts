import { createServer } from 'node:net';
import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { readStackOptions, stackOptions } from '../../../local/options.ts';
import { freePort, loopback, settlePorts } from '../../../local/ports.ts';

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

async function occupy(port: number): Promise<void> {
  const server = createServer().listen(port, loopback);
  await once(server, 'listening');
  onTestFinished(() => void server.close());
}

test('a port that nobody has chosen moves to a free one, and says so; one that was chosen is a problem', async () => {
  const [first, second, third] = [await freePort(), await freePort(), await freePort()];
  for (const port of [first, second, third]) await occupy(port);
  const options = stackOptions({ TEMPORAL_PORT: String(third) }, '/');
  const { ports, moved, problems } = await settlePorts({
    ...options,
    ports: { ...options.ports, api: first, postgres: second },
  });
  expect(ports.api).toBe(first);
  expect(ports.postgres).toBeGreaterThan(second);
  expect(await settlePorts({ ...options, ports, fixedPorts: new Set(['postgres']) })).toMatchObject({
    ports: { postgres: ports.postgres },
  });
  expect(moved).toContain(`Port ${second} is already in use. Parley uses ${ports.postgres} for PostgreSQL`);
  expect(problems).toEqual([
    expect.stringMatching(
      `^PORT: port ${first}, needed for the API, is already in use. Set PORT to another port, for example \\d+$`,
    ),
    expect.stringMatching(`^TEMPORAL_PORT: port ${third}, needed for Temporal, is already in use.`),
  ]);
});

test('two that were given the same port are told, and a default makes room', async () => {
  const [port, other] = [String(await freePort()), String(await freePort())];
  const chosen = { PORT: port, TEMPORAL_UI_PORT: port, ADMIN_PORT: other };
  const { problems } = await settlePorts(stackOptions(chosen, '/'));
  expect(problems).toEqual([expect.stringMatching(`^TEMPORAL_UI_PORT: port ${port}, .* is that of PORT too.`)]);
  const options = stackOptions({ PORT: port, TEMPORAL_UI_PORT: other }, '/');
  const settled = await settlePorts({ ...options, ports: { ...options.ports, admin: Number(port) } });
  expect(settled.problems).toEqual([]);
  expect(settled.ports.admin).not.toBe(Number(port));
  expect(settled.moved).toContain(
    `Port ${port} is that of the API. Parley uses ${settled.ports.admin} for the worker's health and metrics`,
  );
});

test('the default is not looked at for a port whose value is wrong: that is told already', async () => {
  const standard = await freePort();
  await occupy(standard);
  const options = readStackOptions({ PORT: '80800', TEMPORAL_UI_PORT: String(await freePort()) }, '/');
  expect(options.problems).toEqual(['PORT must be a port from 1 to 65535, but is 80800']);
  const { problems } = await settlePorts({ ...options, ports: { ...options.ports, api: standard } });
  expect(problems).toEqual([]);
});
