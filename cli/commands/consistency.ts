import { setTimeout as sleep } from 'node:timers/promises';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

interface Options extends CommonOptions {
  readonly start?: boolean;
  readonly wait?: boolean;
  readonly conversation?: readonly string[];
}

const PATH = '/v1/admin/audit/consistency';
const PAUSE_MS = 1000;

/** `parley audit consistency` */
export function consistencyCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('consistency')
      .summary('check that what is stored agrees with itself')
      .description(
        'Shows the state of the consistency audit and what it found; with --start, a new one begins. The exit code is 1 if it found something.',
      )
      .option('--start', 'begin an audit')
      .option('--wait', 'wait for its end, and say how far it is')
      .option(
        '--conversation <id>',
        'with --start: read only this conversation, at once; may be repeated',
        (id: string, before: readonly string[] | undefined) => [...(before ?? []), conversationId(id)],
      ),
    { watch: true },
  ).action((options: Options) =>
    run(options, async (session) => {
      if (options.conversation !== undefined && options.start !== true) {
        throw new CommandError(EXIT.usage, '--conversation needs --start');
      }
      if (options.conversation !== undefined) {
        // They are read at once: the answer has the findings.
        const { conversation: conversations } = options;
        await session.look(async () => lookAt(await start(session, { conversations: [...conversations] })));
        return;
      }
      if (options.start === true) await start(session, {});
      if (options.wait === true) await waitForEnd(session);
      await session.look(async () => lookAt(await read(session)));
    }),
  );
}

function start(
  { api }: Session,
  body: Schemas['StartConsistencyAudit'],
): Promise<Schemas['ConsistencyFindings'] | Schemas['ConsistencyRun']> {
  return call(api.POST(PATH, { body }));
}

function read({ api }: Session): Promise<Schemas['ConsistencyRun']> {
  return call(api.GET(PATH));
}

async function waitForEnd(session: Session): Promise<void> {
  const progress = session.progress();
  for (;;) {
    const { state, checked, total } = await read(session);
    if (state !== 'running' || session.signal.aborted) break;
    progress.say(`${checked} of ${total} conversations checked`);
    await sleep(PAUSE_MS, undefined, { signal: session.signal }).catch(() => undefined);
  }
  progress.done();
}

function lookAt(answer: Schemas['ConsistencyFindings'] | Schemas['ConsistencyRun']): Look {
  const { findings, ...facts } = answer;
  const rows = findings.map(({ conversation, rule, details }) => [conversation, rule, JSON.stringify(details)]);
  const text = sections(
    pairs(Object.entries(facts)),
    section('Findings', rows.length === 0 ? 'none' : table(['conversation', 'rule', 'details'], rows)),
  );
  return { value: answer, text, isProblem: findings.length > 0 };
}
