import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../process/package-root.ts';
import { waitUntil } from '../../../tools/harness/wait-until.ts';
import { chatOpener, texts } from '../../harness/chats.ts';
import { useCleanup } from '../../harness/cleanup.ts';
import { clientManifest, compileProject, newProject, packClient } from '../../harness/client-package.ts';
import { useFolder } from '../../harness/folder.ts';
import { read } from '../../harness/markdown.ts';
import { useService } from '../../harness/service.ts';

// The examples in a project of an app, with the packed library, as their readers run them. That of a browser is in test/edges.
const examples = path.join(packageRoot(), 'client', 'examples');

/** Packages beside the library that the README lets its readers install. */
function readmePackages(): string[] {
  const line = /^npm install .+\.tgz (?<others>[^#\n]+)/m.exec(read('client/README.md'));
  return (line?.groups?.others ?? '')
    .trim()
    .split(' ')
    .map((one) => one.replace(/@[^@]+$/, ''));
}

test('the README names versions that fit the library', () => {
  const { peerDependencies } = clientManifest();
  const line = /^npm install .+$/m.exec(read('client/README.md'))?.[0];
  for (const name of readmePackages()) expect(line).toContain(`${name}@${peerDependencies[name]?.replace('^', '')}`);
});

test.each(['node.ts', 'bot.ts', 'browser.ts'])('%s has at most 30 lines', (file) => {
  const lines = readFileSync(path.join(examples, file), 'utf8').trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(30);
});

describe('the examples for Node', () => {
  const folder = useFolder();
  const later = useCleanup();
  const service = useService({ apis: 1, workers: 1 });
  const openChat = chatOpener(service);
  beforeAll(async () => {
    await newProject(folder, await packClient(folder), [...readmePackages(), '@types/node']);
    const files = ['node.ts', 'bot.ts'];
    for (const file of files) cpSync(path.join(examples, file), path.join(folder, file));
    // The types of ts-mls want those of a browser.
    await compileProject(folder, files, { types: ['node'], lib: ['es2023'], skipLibCheck: true });
  });

  async function run(program: string, user: string, ...args: string[]): Promise<Program> {
    const env = { PATH: process.env.PATH, PARLEY_URL: service().apis[0]?.url, PARLEY_USER: user };
    const child = spawn(process.execPath, [`dist/${program}.js`, ...args], {
      cwd: folder,
      env: { ...env, PARLEY_TOKEN: await service().token(user) },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
    later(`${program} of ${user}`, async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const said: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => said.push(text));
    }
    return {
      child,
      ended,
      said: () =>
        said
          .join('')
          .split('\n')
          .filter((line) => line !== ''),
    };
  }
  const type = ({ child }: Program, line: string): void => void child.stdin?.write(`${line}\n`);
  /** Others can add a user only when a device has its key packages there. */
  const untilAddable = (user: string): Promise<void> =>
    waitUntil(async () => (await service().clientOf(user).devices()).some(({ available }) => available > 0), {
      what: `${user} can be added`,
    });
  const untilSaid = (program: Program, line: RegExp, times = 1): Promise<void> =>
    waitUntil(() => program.said().filter((one) => line.test(one)).length >= times, {
      what: `a program says ${line.source}, ${times} times`,
    });

  test('two people talk in terminals, and what was typed before a crash arrives', async () => {
    const bob = await run('node', 'bob');
    await untilAddable('bob');
    const alice = await run('node', 'alice', 'bob');
    type(alice, 'hello bob');
    await untilSaid(bob, /^alice: hello bob$/);
    type(bob, 'hello alice');
    await untilSaid(alice, /^bob: hello alice$/);
    alice.child.kill('SIGKILL');
    await alice.ended;
    const again = await run('node', 'alice');
    type(again, 'I am back');
    await untilSaid(bob, /^alice: I am back$/);
    again.child.stdin?.end();
    expect(await again.ended).toBe(0);
    expect(bob.said().filter((line) => line.startsWith('alice: '))).toEqual(['alice: hello bob', 'alice: I am back']);
  });

  test('the bot answers each question once, also those that were asked while it was dead', async () => {
    const bot = await run('bot', 'clock');
    await untilAddable('clock');
    const carol = await run('node', 'carol', 'clock');
    type(carol, '/time');
    await untilSaid(carol, /^clock: It is .+Z\.$/);
    bot.child.kill('SIGKILL');
    await bot.ended;
    type(carol, '/time');
    type(carol, 'thanks');
    await untilSaid(carol, /^carol: thanks$/);
    const again = await run('bot', 'clock');
    await untilSaid(carol, /^clock: It is/, 2);
    again.child.kill('SIGTERM');
    expect(await again.ended).toBe(0);
    expect(carol.said().filter((line) => line.startsWith('clock: '))).toHaveLength(2);
  });

  test('the bot starts again after somebody has removed it, and answers the others', async () => {
    const bot = await run('bot', 'bell');
    await untilAddable('bell');
    const dave = await openChat('dave');
    const answers = async (id: string): Promise<number> =>
      (await texts(dave, id)).filter((text) => text.startsWith('It is')).length;
    const ask = async (id: string, count: number): Promise<void> => {
      await dave.send(id, '/time');
      await waitUntil(async () => (await answers(id)) === count, { what: 'the bot answers' });
    };
    const left = await dave.create({ users: ['bell'] });
    await ask(left, 1);
    await dave.remove(left, ['bell']);
    const kept = await dave.create({ users: ['bell'] });
    await ask(kept, 1);
    bot.child.kill('SIGTERM');
    expect(await bot.ended).toBe(0);
    const again = await run('bot', 'bell');
    await ask(kept, 2);
    again.child.kill('SIGTERM');
    expect(await again.ended).toBe(0);
    expect(again.said()).toEqual([]);
  });
});

interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly said: () => string[];
}
