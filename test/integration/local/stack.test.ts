import { once } from 'node:events';
import { fork, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import ts from 'typescript';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { readStackOptions, stackOptions } from '../../../local/options.ts';
import { freePort, portAnswers } from '../../../local/ports.ts';
import { superviseStack, type Supervisor } from '../../../local/stack.ts';
import { summary } from '../../../local/summary.ts';
import { tryUntil, waitUntil } from '../../../tools/harness/wait-until.ts';
import { controlClient } from '../../harness/control.ts';
import { testFolder } from '../../harness/folder.ts';

// A fake worker or API: ready at once, writes a line when it is stopped, and exits on request.
const standIn = `
import { createServer } from 'node:http';
import { appendFileSync } from 'node:fs';
const name = process.argv[1].includes('worker') ? 'worker' : 'api';
const server = createServer((request, response) => {
  if (request.url === '/die') { console.error(name, 'has had enough'); process.exit(3); }
  response.end(process.env.HOST);
});
server.listen(name === 'worker' ? process.env.ADMIN_PORT : process.env.PORT, '127.0.0.1');
process.on('SIGTERM', () => { appendFileSync(process.env.EVENTS, name + ' stopped\\n'); process.exit(0); });
`;

type Bench = {
  supervise: (findProblems?: () => Promise<readonly string[]>) => Supervisor;
  said: string[];
  events: () => string;
  env: NodeJS.ProcessEnv;
  dataDir: string;
  scripts: { migrate: string; worker: string; api: string };
};

/** A stack of fake programs. Its PostgreSQL and Temporal are external servers, so the stack does not start them. */
async function bench(): Promise<Bench> {
  const folder = testFolder();
  const script = (name: string, content: string): string => {
    writeFileSync(path.join(folder, name), content);
    return path.join(folder, name);
  };
  const events = script('events.txt', '');
  const scripts = {
    migrate: script(
      'migrate.mjs',
      `import { appendFileSync } from 'node:fs';appendFileSync(process.env.EVENTS, 'migrated\\n');`,
    ),
    worker: script('worker.mjs', standIn),
    api: script('api.mjs', standIn),
  };
  const dataDir = path.join(folder, 'data');
  const env = {
    EVENTS: events,
    PARLEY_DATA_DIR: dataDir,
    DATABASE_URL: 'postgres://somewhere',
    TEMPORAL_ADDRESS: 'somewhere:7233',
    PORT: String(await freePort()),
    ADMIN_PORT: String(await freePort()),
    SDK_METRICS_PORT: String(await freePort()),
    CONTROL_PORT: String(await freePort()),
  };
  const said: string[] = [];
  const supervise = (findProblems?: () => Promise<readonly string[]>): Supervisor => {
    const supervisor = superviseStack({
      options: readStackOptions(env, folder),
      ...(findProblems === undefined ? {} : { findProblems }),
      scripts,
      env,
      say: (line) => said.push(line),
    });
    onTestFinished(() => supervisor.stop());
    return supervisor;
  };
  return { supervise, said, events: () => readFileSync(events, 'utf8'), env, dataDir, scripts };
}

test('the stack migrates, starts, and stops in reverse order', async () => {
  const { supervise, events } = await bench();
  const supervisor = supervise();
  await expect(supervisor.started).resolves.toMatchObject({
    databaseUrl: 'postgres://somewhere',
    temporalAddress: 'somewhere:7233',
  });
  await supervisor.stop();
  expect(events()).toBe('migrated\napi stopped\nworker stopped\n');
});

test('the API and the worker listen on the loopback address, unless HOST says otherwise', async () => {
  for (const [HOST, listens] of [
    ['', '127.0.0.1'],
    ['0.0.0.0', '0.0.0.0'],
  ]) {
    const { supervise, env } = await bench();
    env.HOST = HOST;
    const supervisor = supervise();
    await supervisor.started;
    for (const port of [env.PORT, env.ADMIN_PORT]) {
      expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe(listens);
    }
    await supervisor.stop();
  }
});

test('the web app has a control server, which is off where others reach the API', async () => {
  for (const [HOST, isOn] of [
    ['', true],
    ['localhost', true],
    ['0.0.0.0', false],
  ] as const) {
    const { supervise, env, said, scripts } = await bench();
    writeFileSync(scripts.api, standIn.replace('env.HOST', 'env.WEB_APP_CONTROL_URL ?? "off"'));
    env.HOST = HOST;
    const supervisor = supervise();
    await supervisor.started;
    const control = `http://127.0.0.1:${env.CONTROL_PORT}`;
    expect(await (await fetch(`http://127.0.0.1:${env.PORT}/`)).text()).toBe(isOn ? control : 'off');
    expect(await portAnswers(Number(env.CONTROL_PORT))).toBe(isOn);
    expect(said.includes('Web app: HOST is 0.0.0.0, so it has no buttons, and asks for a token')).toBe(!isOn);
    await supervisor.stop();
    expect(await portAnswers(Number(env.CONTROL_PORT))).toBe(false);
  }
});

test('servers that the stack does not run are not touched, and tokens of another issuer are not made', async () => {
  const { supervise, env } = await bench();
  env.JWT_ISSUER = 'https://issuer.example';
  await supervise().started;
  const control = controlClient({ api: Number(env.PORT), control: Number(env.CONTROL_PORT) });
  for (const what of ['kill-postgres', 'stop-temporal', 'take-backup', 'restore-backup'])
    expect(await control.act(what)).toMatchObject({ status: 409, body: { code: 'external-part' } });
  expect(await control.act('terminate-workflow', 'YQ')).toMatchObject({ status: 409, body: { code: 'external-part' } });
  expect((await control.ask('POST', '/tokens', { body: '{"user":"alice"}' })).status).toBe(404);
  expect((await control.act('kill-api')).status).toBe(202);
});

test('a second start on the same folder is refused, and the first stack keeps running', async () => {
  const { supervise, dataDir, env } = await bench();
  await supervise().started;
  const second = supervise();
  await expect(second.started).rejects.toThrow(`Parley is already running in ${dataDir} (process ${process.pid}).`);
  await second.stop();
  expect((await fetch(`http://127.0.0.1:${env.PORT}/`)).ok).toBe(true);
});

test('npm run wipe refuses while a stack runs and where other files are, and deletes all data then', async () => {
  const { supervise, dataDir, env } = await bench();
  const wipe = (): { code: number | null; said: string } => {
    const args = [path.join(packageRoot(), 'dist', 'local', 'wipe.js'), '--yes'];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      env: { PATH: process.env.PATH, PARLEY_DATA_DIR: dataDir, PARLEY_ENV_FILE: '/dev/null' },
      encoding: 'utf8',
    });
    expect(env.PARLEY_DATA_DIR).toBe(dataDir);
    return { code: status, said: stdout + stderr };
  };
  const stack = supervise();
  await stack.started;
  expect(wipe()).toEqual({ code: 1, said: expect.stringContaining('Parley is already running') as string });
  await stack.stop();
  writeFileSync(path.join(dataDir, 'my-notes.txt'), '');
  expect(wipe()).toEqual({ code: 1, said: expect.stringContaining('my-notes.txt') as string });
  rmSync(path.join(dataDir, 'my-notes.txt'));
  expect(wipe()).toEqual({ code: 0, said: expect.stringContaining(`Deleted ${dataDir}`) as string });
  expect(existsSync(dataDir)).toBe(false);
});

test('everything that is wrong is told at once, before anything starts', async () => {
  const { supervise, env, events } = await bench();
  const busy = createServer().listen(Number(env.PORT), '127.0.0.1');
  await once(busy, 'listening');
  onTestFinished(() => void busy.close());
  Object.assign(env, { ADMIN_PORT: 'x', PORT: String(env.PORT) });
  await expect(supervise(() => Promise.resolve(['DATABASE_URL: nobody is there'])).started).rejects.toThrow(
    new RegExp(`- ADMIN_PORT must be.*\n.*- PORT: port ${env.PORT}.*\n.*- DATABASE_URL: nobody is there\n`),
  );
  expect(events()).toBe('');
});

test('a worker that ends unexpectedly is restarted, and its last log lines are shown', async () => {
  const { supervise, said, env } = await bench();
  await supervise().started;
  const worker = `http://127.0.0.1:${env.ADMIN_PORT}`;
  await fetch(`${worker}/die`).catch(() => undefined);
  await waitUntil(() => said.includes('Worker: ready again'), { what: 'the worker is ready again' });
  expect(said.find((line) => line.includes('ended unexpectedly'))).toMatch(
    /^Worker: ended unexpectedly \(exit code 3\); restarting in 0.5 s.*\nworker has had enough$/,
  );
  expect((await fetch(worker)).ok).toBe(true);
});

test('a failed migration ends the start with its output, and worker and API do not start', async () => {
  const { supervise, scripts, events } = await bench();
  writeFileSync(scripts.migrate, `console.error('no such table'); process.exit(2)`);
  const supervisor = supervise();
  await expect(supervisor.started).rejects.toThrow('The migration failed (exit code 2):\nno such table');
  await supervisor.stop();
  expect(events()).toBe('');
});

test('a worker that ends while starting ends the start with its last lines', async () => {
  const { supervise, scripts } = await bench();
  writeFileSync(scripts.worker, `console.error('bad setting'); process.exit(78)`);
  const supervisor = supervise();
  await expect(supervisor.started).rejects.toThrow(/^Worker: ended while starting \(exit code 78\)[^]*\nbad setting$/);
  await supervisor.stop();
});

test.each([{ late: ['api'] }, { late: ['worker'] }, { late: ['api', 'worker'] }] as const)(
  'a stop in the middle of a start leaves nothing running, and stops the API first, while these are not ready: $late',
  async ({ late }) => {
    const { supervise, scripts, env, events } = await bench();
    for (const part of late) {
      const text = standIn.replace('response.end(process.env.HOST)', 'response.writeHead(503).end()');
      writeFileSync(scripts[part], text);
    }
    const supervisor = supervise();
    for (const [part, port] of [
      ['api', env.PORT],
      ['worker', env.ADMIN_PORT],
    ] as const) {
      const expected = late.some((one) => one === part) ? 503 : 200;
      const status = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/`)).status;
      await tryUntil(async () => expect(await status()).toBe(expected), { what: `the ${part} answers` });
    }
    await supervisor.stop();
    expect(events()).toBe('migrated\napi stopped\nworker stopped\n');
  },
);

test('all busy ports are listed before anything starts', async () => {
  const { supervise, env, events } = await bench();
  const [first, second] = [createServer(), createServer()];
  first.listen(Number(env.PORT), '127.0.0.1');
  second.listen(Number(env.ADMIN_PORT));
  await Promise.all([once(first, 'listening'), once(second, 'listening')]);
  await expect(supervise().started).rejects.toThrow(
    new RegExp(
      `^The configuration has problems:\n` +
        `  - PORT: port ${env.PORT}, needed for the API, is already in use. Set PORT to another port, for example \\d+\n` +
        `  - ADMIN_PORT: port ${env.ADMIN_PORT}, needed for the worker's health and metrics, is already in use. Set ADMIN_PORT to another port, for example \\d+\n`,
    ),
  );
  first.close();
  second.close();
  expect(events()).toBe('');
});

test('wrong settings are reported all at once', () => {
  expect(() => stackOptions({ PORT: 'http', ADMIN_PORT: '70000' }, '/')).toThrow(
    /^The configuration has problems:\n {2}- PORT must be a port from 1 to 65535, but is http\n {2}- ADMIN_PORT must be a port from 1 to 65535, but is 70000\n/,
  );
});

test('the summary contains a token and commands to copy', async () => {
  const options = stackOptions({ PORT: '1234' }, '/');
  const servers = { options, databaseUrl: '', temporalAddress: 'here:7233', uiUrl: undefined };
  const text = await summary({ ...servers, secret: 'a secret of the developer' });
  expect(text.match(/^curl .*http:\/\/127\.0\.0\.1:1234\/v1\/conversations/gm)).toHaveLength(3);
  // The first thing that a person sees.
  expect(text.trim().split('\n')[2]).toMatch(/^ {2}Web app +http:\/\/localhost:1234\/app\/$/);
  expect(text).toMatch(/^export TOKEN=[\w-]+\.[\w-]+\.[\w-]+$/m);
  expect(text).toMatch(/^ {2}Documentation +http:\/\/127\.0\.0\.1:1234\/docs#token=[\w-]+\.[\w-]+\.[\w-]+$/m);
  const withIssuer = await summary({ ...servers, secret: undefined });
  expect(withIssuer).not.toContain('curl');
  expect(withIssuer).toMatch(/^ {2}Documentation +http:\/\/127\.0\.0\.1:1234\/docs$/m);
});

test('the summary names the data folder where a token of another terminal needs it', async () => {
  const servers = {
    databaseUrl: '',
    temporalAddress: 'here:7233',
    uiUrl: undefined,
    secret: 'a secret of the developer',
  };
  const text = await summary({ ...servers, options: stackOptions({ PARLEY_DATA_DIR: 'elsewhere' }, '/') });
  expect(text).toContain(": PARLEY_DATA_DIR='/elsewhere' npm run --silent token -- bob\n");
  expect(await summary({ ...servers, options: stackOptions({}, '/') })).toContain(': npm run --silent token -- bob\n');
});

test('a supervised process ends when its supervisor has ended', async () => {
  const folder = testFolder();
  const compile = (file: string): string =>
    ts.transpileModule(readFileSync(file, 'utf8'), {
      compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023 },
    }).outputText;
  writeFileSync(path.join(folder, 'parent.mjs'), compile(path.join(packageRoot(), 'process', 'exit-with-parent.ts')));
  const script = path.join(folder, 'child.mjs');
  writeFileSync(
    script,
    `import { exitWithParent } from './parent.mjs'; exitWithParent(); setInterval(() => {}, 1000); process.send('up');`,
  );
  const child = fork(script, { env: { ...process.env, PARLEY_SUPERVISED: '1' } });
  await once(child, 'message');
  child.disconnect();
  expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
});
