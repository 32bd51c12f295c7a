import { readFile, writeFile } from 'node:fs/promises';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { counted } from '../output/format.ts';
import type { CommonOptions, Session } from '../session.ts';

interface Options extends CommonOptions {
  readonly bundle?: string;
  readonly from?: string;
  readonly save?: string;
}

type Events = Schemas['HistoryPage']['events'];

/** `parley replay ID` */
export function replayCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('replay')
      .argument('[id]', 'the conversation', conversationId)
      .summary("replay a conversation's history with the workflow code at hand, before a deploy")
      .description(
        'Reads the history of the newest run, and runs it here with the workflow code of this folder (`npm run build`), or with another bundle. Nothing changes in the service. The exit code is 1 if the code would do something else than the history says: deployed, it would fail this run.',
      )
      .option('--bundle <file>', 'another workflow bundle: dist/bundle/conversation.js of another release')
      .option('--save <file>', 'also write the history, as JSON')
      .option('--from <file>', 'replay a history that was saved, and ask no service'),
  ).action((id: string | undefined, options: Options) =>
    run(options, async (session) => {
      const { events, name } = await history(session, id, options);
      if (options.save !== undefined) await writeFile(options.save, `${JSON.stringify({ events }, null, 1)}\n`);
      // Only this command needs the native parts of a worker.
      const { replay } = await import('../../worker/replay.ts');
      const bundle = options.bundle === undefined ? undefined : await readText(options.bundle);
      const failure = await replay({ events }, name, bundle);
      const value = { conversation: id ?? null, events: events.length, replays: failure === undefined, failure };
      const text =
        failure === undefined
          ? `${counted(events.length, 'event')}: this code replays them.`
          : `${counted(events.length, 'event')}: this code does NOT replay them.\n${failure}`;
      session.show({ value, text, isProblem: failure !== undefined });
    }),
  );
}

async function history(
  session: Session,
  id: string | undefined,
  { from }: Options,
): Promise<{ readonly events: Events; readonly name: string }> {
  if (from !== undefined) {
    const { events } = parseHistory(await readText(from));
    return { events, name: id ?? 'saved' };
  }
  if (id === undefined) throw new CommandError(EXIT.usage, 'Name a conversation, or a file with --from');
  const progress = session.progress();
  const events: Events[number][] = [];
  let next: { readonly run: string; readonly cursor: string } | undefined;
  do {
    const page: Schemas['HistoryPage'] = await call(
      session.api.GET('/v1/admin/conversations/{id}/history', { params: { path: { id }, query: next ?? {} } }),
    );
    events.push(...page.events);
    next = page.next === undefined ? undefined : { run: page.runId, cursor: page.next };
    progress.say(`${events.length} events`);
  } while (next !== undefined);
  progress.done();
  return { events, name: id };
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(EXIT.usage, `${file} cannot be read`, { cause: error });
  }
}

function parseHistory(text: string): { readonly events: Events } {
  try {
    const { events } = JSON.parse(text) as { events?: unknown };
    if (Array.isArray(events)) return { events: events as Events };
  } catch {
    // Said below.
  }
  throw new CommandError(EXIT.usage, 'The file holds no history');
}
