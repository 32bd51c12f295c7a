import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NativeConnection } from '@temporalio/worker';
import { expect, inject, test } from 'vitest';
import { ParleyClient, createHttp, toBase64, toBase64Url } from '../../../client/index.ts';
import { loadConfig } from '../../../process/config.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { askTemporal, makeTemporalClient } from '../../../process/temporal-client.ts';
import { type TemporalServer, temporalServer } from '../../../process/temporal-server.ts';
import { type GrpcProxy, startGrpcProxy } from '../../../tools/harness/grpc-proxy.ts';
import { startApi, startWorker } from '../../../tools/harness/processes.ts';
import { tokenOf } from '../../../tools/harness/tokens.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { useDatabase } from '../../harness/database.ts';
import { testFolder } from '../../harness/folder.ts';

const later = useCleanup();
const database = useDatabase();
const file = (name: string): string => path.join(packageRoot(), 'test', 'fixtures', 'tls', name);

/** Temporal behind TLS, with a certificate for `temporal.test` and 127.0.0.1. @param mutual it wants a certificate of its own CA */
async function startTemporalWithTls({ mutual }: { readonly mutual: boolean }): Promise<GrpcProxy> {
  const proxy = await startGrpcProxy(inject('temporalAddress'), {
    key: readFileSync(file('server.key.pem')),
    cert: readFileSync(file('server.pem')),
    ...(mutual ? { ca: readFileSync(file('ca.pem')), requestCert: true, rejectUnauthorized: true } : {}),
  });
  later('proxy', proxy.close);
  return proxy;
}

function serverOf(env: Readonly<Record<string, string>>): Promise<TemporalServer> {
  return temporalServer(loadConfig({ DATABASE_URL: 'postgres://here/parley', ...env }));
}

/** @returns `ok`, or the message of the error and its causes */
async function outcome(call: () => Promise<unknown>): Promise<string> {
  try {
    await call();
    return 'ok';
  } catch (error) {
    const texts: string[] = [];
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) texts.push(cause.message);
    return texts.join(': ');
  }
}

/** Asks as the API does, with its client, and as the worker does, with its own connection. */
async function ask(server: TemporalServer): Promise<{ readonly client: string; readonly worker: string }> {
  const { client, connection } = makeTemporalClient({ ...server, namespace: 'default', identity: 'tls-test' });
  try {
    return {
      client: await outcome(() => askTemporal(client, 5000)),
      worker: await outcome(async () => {
        const native = await NativeConnection.connect(server);
        await native.workflowService.getSystemInfo({}).finally(() => native.close());
      }),
    };
  } finally {
    await connection.close();
  }
}

const CA = { TEMPORAL_TLS_CA_FILE: file('ca.pem') };
const CLIENT = { TEMPORAL_TLS_CERT_FILE: file('client.pem'), TEMPORAL_TLS_KEY_FILE: file('client.key.pem') };
/** What Node.js says of a certificate of an unknown CA. */
const UNTRUSTED = /unable to verify|self-signed certificate|unable to get local issuer/;
const BOTH_OK = { client: 'ok', worker: 'ok' };

test('client and worker present their certificate, and check the certificate and the name of the server', async () => {
  const { address, serverNames } = await startTemporalWithTls({ mutual: true });
  const env = { TEMPORAL_ADDRESS: address, ...CA, ...CLIENT };
  expect(await ask(await serverOf(env))).toEqual(BOTH_OK);
  expect(await ask(await serverOf({ ...env, TEMPORAL_TLS_SERVER_NAME: 'temporal.test' }))).toEqual(BOTH_OK);
  expect([...serverNames]).toContain('temporal.test');

  const wrong = await ask(await serverOf({ ...env, TEMPORAL_TLS_SERVER_NAME: 'elsewhere.test' }));
  expect(wrong.client).toMatch(/Hostname\/IP does not match certificate's altnames: Host: elsewhere.test/);
  expect(wrong.worker).not.toBe('ok');
  const stranger = await ask(await serverOf({ ...env, TEMPORAL_TLS_CA_FILE: file('other-ca.pem') }));
  expect(stranger.client).toMatch(UNTRUSTED);
  expect(stranger.worker).not.toBe('ok');
  const anonymous = await ask(await serverOf({ TEMPORAL_ADDRESS: address, ...CA }));
  expect(anonymous.client).not.toBe('ok');
  expect(anonymous.worker).not.toBe('ok');
  const plain = await ask(await serverOf({ TEMPORAL_ADDRESS: address }));
  expect(plain.client).not.toBe('ok');
  expect(plain.worker).not.toBe('ok');
});

test('API and worker run over it, and their logs say what is wrong with a certificate', async () => {
  const { address } = await startTemporalWithTls({ mutual: true });
  const { url: databaseUrl } = database();
  const service = { databaseUrl, temporalAddress: address, taskQueue: `tls-${randomUUID()}` };
  const right = { ...service, env: { ...CA, ...CLIENT, CONVERSATION_PATH: 'workflow' } };
  const wrong = { ...service, env: { ...CLIENT, TEMPORAL_TLS_CA_FILE: file('other-ca.pem') } };
  const [api, worker, stranger, strangeWorker] = await Promise.all([
    startApi(right),
    startWorker(right),
    startApi(wrong),
    startWorker(wrong, false),
  ]);
  for (const one of [api, worker, stranger, strangeWorker]) later(one.name, one.kill9);
  const client = new ParleyClient(createHttp({ baseUrl: api.url, token: () => tokenOf('alice') }));
  const id = toBase64Url(randomBytes(18));
  await client.createConversation({ id, protocol: 'opaque', policy: { externalJoin: 'nobody' } });
  expect(await client.send(id, { id: randomUUID(), ciphertext: toBase64(randomBytes(9)) })).toMatchObject({ seq: 1 });
  await fetch(`${stranger.url}/health`);
  await waitUntil(() => stranger.tail().includes('health of Temporal: away'), { what: 'the API says so' });
  await waitUntil(() => strangeWorker.tail().includes('connection to Temporal: not yet'), {
    what: 'the worker says so',
  });
  for (const one of [stranger, strangeWorker]) expect(one.tail()).toMatch(UNTRUSTED);
});

test('an API key comes with each call of client and worker, over TLS', async () => {
  const { address, authorizations } = await startTemporalWithTls({ mutual: false });
  const server = await serverOf({ TEMPORAL_ADDRESS: address, ...CA, TEMPORAL_API_KEY: 'key-of-the-test' });
  expect(await ask(server)).toEqual(BOTH_OK);
  expect([...authorizations]).toEqual(['Bearer key-of-the-test']);
});

test('a file that cannot be read, or is no PEM file, is named at the start', async () => {
  const env = { TEMPORAL_ADDRESS: 'here:7233' };
  await expect(serverOf({ ...env, TEMPORAL_TLS_CA_FILE: '/nowhere/ca.pem' })).rejects.toThrow(
    'TEMPORAL_TLS_CA_FILE: cannot read the file /nowhere/ca.pem',
  );
  const binary = path.join(testFolder(), 'ca.der');
  writeFileSync(binary, Buffer.from([0x30, 0x82]));
  await expect(serverOf({ ...env, TEMPORAL_TLS_CA_FILE: binary })).rejects.toThrow(`${binary} is not a PEM file`);
});
