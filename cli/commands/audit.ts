import { type Schemas, call } from '../api.ts';
import { type CommandHost, conversationId, wholeNumber, withCommon } from '../command.ts';
import { sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';
import { consistencyCommand } from './consistency.ts';

type Entry = Schemas['AuditList']['entries'][number];

interface Options extends CommonOptions {
  readonly conversation?: string;
  readonly action?: string;
  readonly cursor?: string;
  readonly limit: number;
}

const PAGE = 1000;

/** `parley audit` and `parley audit consistency` */
export function auditCommand(host: CommandHost): void {
  const { program, run } = host;
  const audit = withCommon(
    program
      .command('audit')
      .summary('the audit trail: who did what; and the consistency audit')
      .description('Lists actions of operators and of the supervisor, reports and resets, the newest first.')
      .option('--conversation <id>', 'only about this conversation', conversationId)
      .option('--action <name>', 'only this action, for example restart')
      .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000), 50)
      .option('--cursor <cursor>', 'go on after an earlier list'),
    { watch: true },
  ).action((options: Options) => run(options, (session) => session.look(() => list(session, options))));
  // What comes after `consistency` is its own: both have --conversation, --json and --watch.
  consistencyCommand({ program: audit.enablePositionalOptions(), run });
}

async function list(session: Session, options: Options): Promise<Look> {
  const { conversation, action, limit } = options;
  const progress = session.progress();
  const found: Entry[] = [];
  let { cursor } = options;
  do {
    const query = {
      ...(conversation === undefined ? {} : { conversation }),
      ...(cursor === undefined ? {} : { cursor }),
      limit: action === undefined ? Math.min(limit - found.length, PAGE) : PAGE,
    };
    const page: Schemas['AuditList'] = await call(session.api.GET('/v1/admin/audit', { params: { query } }));
    found.push(...page.entries.filter((entry) => action === undefined || entry.action === action));
    cursor = page.next;
    progress.say(`${found.length} entries`);
  } while (cursor !== undefined && found.length < limit && !session.signal.aborted);
  progress.done();
  const entries = found.slice(0, limit);
  // After a filter the cursor does not say where the list ended.
  const next: { readonly next?: string } = cursor === undefined || action !== undefined ? {} : { next: cursor };
  const more = next.next === undefined ? undefined : `There are more: --cursor ${next.next}`;
  return { value: { entries, ...next }, text: sections(render(entries), more) };
}

function render(entries: readonly Entry[]): string {
  if (entries.length === 0) return 'No entry.';
  return table(
    ['time', 'who', 'action', 'conversation', 'details'],
    entries.map(({ at, actor, action, conversation, details }) => [
      at,
      actor,
      action,
      conversation,
      JSON.stringify(details),
    ]),
  );
}
