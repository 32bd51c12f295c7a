import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { median } from '../load/histogram.ts';
import { makeMessageBodies, messagesPath } from '../load/messages.ts';
import { conversationId } from '../load/seed.ts';
import { makeTokens } from '../load/tokens.ts';
import { optionsOrExit, wholeNumber } from '../command-line.ts';
import { VARIANTS, type Variant } from './http-variants.ts';

// `npm run cost:http` measures the CPU time that HTTP costs for one message, without Postgres and Temporal: the app of the API in
// a process of its own, and beside it what Node and Express cost alone. The variants take short turns, so that other
// work on the machine disturbs all of them equally.

const CONNECTIONS = 32;
/** Messages of each connection before the first turn, so that V8 has optimized what it will, and in each turn. */
const WARM_UP = 300;
const IN_TURN = 10;

const { values } = parseArgs({ options: { rounds: { type: 'string' } } });
const rounds = optionsOrExit(() => wholeNumber(values.rounds, 40), 'npm run cost:http [-- --rounds N]');

interface Running {
  readonly variant: Variant;
  readonly child: ChildProcess;
  readonly port: number;
  readonly costs: number[];
}

const tokens = await makeTokens(CONNECTIONS);
const path = messagesPath(conversationId('cost'));
const bodyOf = makeMessageBodies();
let count = 0;

/** A request for a message with a new id, as it goes over the connection. */
function nextRequest(connection: number): string {
  const body = bodyOf(`message-${count++}`);
  return [
    `POST ${path} HTTP/1.1`,
    'host: localhost',
    `authorization: ${tokens[connection] ?? ''}`,
    'content-type: application/json',
    `content-length: ${body.length}`,
    '',
    body,
  ].join('\r\n');
}

async function start(variant: Variant): Promise<Running> {
  const child = fork(fileURLToPath(new URL('http-variants.js', import.meta.url)), [variant]);
  const [port] = (await once(child, 'message')) as [number];
  return { variant, child, port, costs: [] };
}

/** CPU time of a process since its start, in microseconds. */
async function cpuOf({ child }: Running): Promise<number> {
  child.send('cpu');
  const [us] = (await once(child, 'message')) as [number];
  return us;
}

/** Sends messages, each connection `each` one after another. */
async function load({ port }: Running, each: number): Promise<void> {
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async (_, connection) => {
      const socket = connect(port, '127.0.0.1').setNoDelay(true);
      await once(socket, 'connect');
      // An answer is one packet, because it is written at once.
      for (let i = 0; i < each; i++) {
        socket.write(nextRequest(connection));
        const [answer] = (await once(socket, 'data')) as [Buffer];
        if (!answer.toString('latin1').startsWith('HTTP/1.1 200')) throw new Error(`refused: ${answer.toString()}`);
      }
      socket.destroy();
    }),
  );
}

const all = await Promise.all(VARIANTS.map(start));
try {
  for (const one of all) await load(one, WARM_UP);
  for (let round = 0; round < rounds; round++) {
    for (const one of all) {
      const before = await cpuOf(one);
      await load(one, IN_TURN);
      one.costs.push(((await cpuOf(one)) - before) / (IN_TURN * CONNECTIONS));
    }
  }
  const lines = all.map(({ variant, costs }) => {
    const low = [...costs].sort((x, y) => x - y)[Math.floor(costs.length / 10)] ?? 0;
    return `| ${variant} | ${median(costs).toFixed(0)} | ${low.toFixed(0)} |`;
  });
  process.stdout.write(
    `| server | µs of CPU per message (median) | tenth percentile |\n| - | -: | -: |\n${lines.join('\n')}\n`,
  );
} finally {
  for (const { child } of all) child.kill();
}
