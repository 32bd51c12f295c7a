import { Option } from 'commander';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import { pairs } from '../output/table.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

type OffBoarding = Schemas['OffBoarding'];
type Reason = Schemas['OffBoardingInput']['reason'];

interface Options extends CommonOptions {
  readonly device?: string;
  readonly reason: Reason;
  readonly undo?: boolean;
  readonly status?: boolean;
  readonly yes?: boolean;
}

const REASONS = ['account-closed', 'device-stolen', 'device-removed'] as const satisfies readonly Reason[];
const PATH = '/v1/admin/users/{user}/off-boarding';

/** `parley off-board U` */
export function offBoardCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('off-board')
      .argument('<user>', 'the user id')
      .summary('remove a user, or one of its devices, from everywhere')
      .description(
        'The user can do nothing from now on. It leaves all its conversations, and the service proposes to their members to remove its leaves, until they have. The exit code of --status is 1 while groups wait for a commit.',
      )
      .option('--device <device>', 'only this device: its user stays')
      .addOption(new Option('--reason <reason>', 'what the audit trail says').choices(REASONS).default(REASONS[0]))
      .option('--undo', 'take it back: where no commit has removed the leaves yet, the user is a member again')
      .option('--status', 'only show how far it is')
      .option('--yes', 'do not ask'),
    { watch: true },
  ).action((user: string, options: Options) =>
    run(options, async (session) => {
      if (options.status === true || options.watch !== undefined) {
        await session.look(async () => lookAt(await read(session, user, options.device)));
      } else if (options.undo === true) {
        const params = { path: { user }, query: queryOf(options.device) };
        session.show({ ...lookAt(await call(session.api.DELETE(PATH, { params }))), isProblem: false });
      } else {
        const what = options.device === undefined ? user : `the device ${options.device} of ${user}`;
        await session.confirm(`Remove ${what} from everywhere?`, options.yes === true);
        const body = { reason: options.reason, ...queryOf(options.device) };
        const begun = await call(session.api.POST(PATH, { params: { path: { user } }, body }));
        session.show({ ...lookAt(begun), isProblem: false });
      }
    }),
  );
}

function read({ api }: Session, user: string, device: string | undefined): Promise<OffBoarding> {
  return call(api.GET(PATH, { params: { path: { user }, query: queryOf(device) } }));
}

function queryOf(device: string | undefined): { device?: string } {
  return device === undefined ? {} : { device };
}

function lookAt(found: OffBoarding): Look {
  const { user, device, reason, startedBy, startedAt, undoneAt, state, total, done, waiting } = found;
  const text = pairs([
    ['user', user],
    ['device', device],
    ['reason', reason],
    ['started', `${startedAt} by ${startedBy}`],
    ['undone', undoneAt],
    ['state', state],
    ['conversations', total],
    ['leaves gone in', done],
    ['wait for a commit', waiting],
  ]);
  return { value: found, text, isProblem: state !== 'done' && state !== 'undone' };
}
