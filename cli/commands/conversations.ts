import { Option } from 'commander';
import { TROUBLE_SIGNS } from '../../domain/trouble.ts';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, durationInSeconds, wholeNumber, withCommon } from '../command.ts';
import { ago } from '../output/format.ts';
import { sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

type Page = Schemas['AdminConversationList'];
type Listed = Page['conversations'][number];

interface Options extends CommonOptions {
  readonly state?: Exclude<Listed['state'], undefined> | 'due';
  readonly trouble?: Listed['troubles'][number] | true;
  readonly minMembers?: number;
  readonly maxMembers?: number;
  readonly idle?: number;
  readonly cursor?: string;
  readonly limit: number;
}

const MOST = 10_000;
const PAGE = 1000;
const STATES = ['active', 'reset-open', 'superseded', 'deleted', 'due'] as const;

/** `parley conversations` */
export function conversationsCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('conversations')
      .summary('list conversations: by state, trouble, size, idle time')
      .description(
        'Lists the conversations that pass all filters, by id. A rare find in very many conversations takes some time.',
      )
      .addOption(new Option('--state <state>', 'only in this state; due = its timer should have run').choices(STATES))
      .addOption(
        new Option('--trouble [sign]', 'only in trouble within the last 10 minutes; without a sign: in any').choices([
          ...TROUBLE_SIGNS,
          'any',
        ]),
      )
      .option('--min-members <n>', 'only with at least so many members', wholeNumber(0, MOST))
      .option('--max-members <n>', 'only with at most so many members', wholeNumber(0, MOST))
      .option('--idle <time>', 'only without an entry for this time: 90, 15m, 2h or 3d', durationInSeconds)
      .option('--limit <n>', 'at most so many', wholeNumber(1, MOST), 50)
      .option('--cursor <cursor>', 'go on after an earlier list'),
    { watch: true },
  ).action((options: Options) => run(options, (session) => session.look(() => list(session, options))));
}

async function list(session: Session, options: Options): Promise<Look> {
  const { state, trouble, minMembers, maxMembers, idle, limit } = options;
  const progress = session.progress();
  const found: Listed[] = [];
  let { cursor } = options;
  let pages = 0;
  do {
    const query = {
      ...(state === undefined ? {} : { state }),
      ...(trouble === undefined ? {} : { trouble: trouble === true ? ('any' as const) : trouble }),
      ...(minMembers === undefined ? {} : { minMembers }),
      ...(maxMembers === undefined ? {} : { maxMembers }),
      ...(idle === undefined ? {} : { idleSeconds: idle }),
      ...(cursor === undefined ? {} : { cursor }),
      limit: Math.min(limit - found.length, PAGE),
    };
    const page: Page = await call(session.api.GET('/v1/admin/conversations', { params: { query } }));
    found.push(...page.conversations);
    cursor = page.next;
    progress.say(`${found.length} found in ${++pages} pages`);
  } while (cursor !== undefined && found.length < limit && !session.signal.aborted);
  progress.done();
  const more = cursor === undefined ? undefined : `There are more: --cursor ${cursor}`;
  const next = cursor === undefined ? {} : { next: cursor };
  return { value: { conversations: found, ...next }, text: sections(render(found), more) };
}

function render(found: readonly Listed[]): string {
  if (found.length === 0) return 'No conversation.';
  const now = Date.now();
  return table(
    ['conversation', 'state', 'protocol', 'epoch', 'last seq', 'members', 'last entry', 'due', 'trouble'],
    found.map(({ id, state, protocol, epoch, lastSeq, memberCount, lastAt, dueAt, troubles }) => [
      id,
      state,
      protocol,
      epoch,
      lastSeq,
      memberCount,
      ago(lastAt, now),
      dueAt === undefined ? undefined : ago(dueAt, now),
      troubles.join(', '),
    ]),
  );
}
