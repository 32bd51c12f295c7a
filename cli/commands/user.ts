import { type Schemas, call } from '../api.ts';
import { type CommandHost, wholeNumber, withCommon } from '../command.ts';
import { ago, counted } from '../output/format.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

type User = Schemas['AdminUser'];
type Groups = Schemas['AdminUserConversations'];

interface Options extends CommonOptions {
  readonly limit: number;
  readonly cursor?: string;
}

/** `parley user U` */
export function userCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('user')
      .argument('<user>', 'the user id')
      .summary('a user: devices, key packages, groups')
      .description(
        'Shows the devices of a user with their key packages in store, and its conversations, the oldest first.',
      )
      .option('--limit <n>', 'at most so many conversations', wholeNumber(1, 1000), 50)
      .option('--cursor <cursor>', 'go on after an earlier list of conversations'),
    { watch: true },
  ).action((user: string, options: Options) =>
    run(options, (session) => session.look(() => read(session, user, options))),
  );
}

async function read(session: Session, user: string, { limit, cursor }: Options): Promise<Look> {
  const path = { user };
  const [found, groups] = await Promise.all([
    call(session.api.GET('/v1/admin/users/{user}', { params: { path } })),
    call(
      session.api.GET('/v1/admin/users/{user}/conversations', {
        params: { path, query: { limit, ...(cursor === undefined ? {} : { cursor }) } },
      }),
    ),
  ]);
  return lookAt(found, groups, Date.now());
}

function lookAt(user: User, { conversations, next }: Groups, now: number): Look {
  const text = sections(
    pairs([
      ['user', user.user],
      ['may be invited by', user.consent],
      ['Welcomes', counted(user.welcomes, 'waits', 'wait')],
      ['erasing', user.erasing ? 'yes' : undefined],
    ]),
    section('Devices', devices(user, now)),
    section('Conversations', groupsOf(conversations, now)),
    next === undefined ? undefined : `There are more: --cursor ${next}`,
  );
  return { value: { ...user, conversations, ...(next === undefined ? {} : { next }) }, text };
}

function devices({ devices: all }: User, now: number): string {
  if (all.length === 0) return 'none';
  return table(
    ['device', 'last seen', 'since', 'key packages', 'last resort'],
    all.map(({ device, seenAt, createdAt, available, lastResort }) => [
      device,
      ago(seenAt, now),
      ago(createdAt, now),
      available,
      lastResort ? 'yes' : 'no',
    ]),
  );
}

function groupsOf(conversations: Groups['conversations'], now: number): string {
  if (conversations.length === 0) return 'none';
  return table(
    ['conversation', 'role', 'protocol', 'epoch', 'last seq', 'members', 'unread', 'created'],
    conversations.map(({ id, role, protocol, epoch, lastSeq, memberCount, unread, createdAt }) => [
      id,
      role,
      protocol,
      epoch,
      lastSeq,
      memberCount,
      unread,
      ago(createdAt, now),
    ]),
  );
}
