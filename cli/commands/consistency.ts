import { setTimeout as sleep } from 'node:timers/promises';
import { callUntyped } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { own } from '../../domain/own.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

interface Options extends CommonOptions {
  readonly start?: boolean;
  readonly wait?: boolean;
  readonly conversation?: readonly string[];
}

type Answer = Readonly<Record<string, unknown>>;

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
        await session.look(async () => lookAt(await ask(session, 'POST', { conversations })));
        return;
      }
      if (options.start === true) await ask(session, 'POST', {});
      if (options.wait === true) await waitForEnd(session);
      await session.look(async () => lookAt(await ask(session, 'GET')));
    }),
  );
}

async function ask(session: Session, method: 'GET' | 'POST', body?: object): Promise<Answer> {
  const answer = await callUntyped(session.api, method, PATH, body);
  if (answer === undefined) throw new CommandError(EXIT.problem, 'This service has no consistency audit');
  return answer;
}

async function waitForEnd(session: Session): Promise<void> {
  const progress = session.progress();
  for (;;) {
    const answer = await ask(session, 'GET');
    if (own(answer, 'state') !== 'running' || session.signal.aborted) break;
    progress.say(`${String(own(answer, 'checked'))} of ${String(own(answer, 'total'))} conversations checked`);
    await sleep(PAUSE_MS, undefined, { signal: session.signal }).catch(() => undefined);
  }
  progress.done();
}

function lookAt(answer: Answer): Look {
  const { findings, ...facts } = answer;
  const found = Array.isArray(findings) ? (findings as readonly Answer[]) : [];
  const rows = found.map(({ conversation, rule, details }) => [
    String(conversation),
    String(rule),
    details === undefined ? undefined : JSON.stringify(details),
  ]);
  const text = sections(
    pairs(
      Object.entries(facts).map(([name, value]) => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
    ),
    section('Findings', rows.length === 0 ? 'none' : table(['conversation', 'rule', 'details'], rows)),
  );
  return { value: answer, text, isProblem: found.length > 0 };
}
