import { setTimeout as sleep } from 'node:timers/promises';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { counted } from '../output/format.ts';
import type { CommonOptions, Look, Session } from '../session.ts';

type Drain = Schemas['DrainState'];

interface Options extends CommonOptions {
  readonly undo?: boolean;
  readonly show?: boolean;
  readonly terminate?: boolean;
  readonly yes?: boolean;
}

/** The list of runs is behind by about a second. */
const PAUSE_MS = 1000;
/** Steps in a row in which nothing ends: the rest does not answer. */
const STUCK_STEPS = 15;

/** `parley drain` */
export function drainCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('drain')
      .summary('take the workflow path out of use, for a maintenance of Temporal')
      .description(
        'Moves all conversations to the direct path, and ends all their runs in steps. No request fails. Timers (retention, expiry of Welcomes) stand still until the end of the drain. It may be interrupted, and goes on when it is called again. The exit code is 1 while runs are left.',
      )
      .option('--undo', 'end the drain: the path setting from before it comes back')
      .option('--show', 'only show the state')
      .option('--terminate', 'end runs at once, also those that do not answer; nothing that was acknowledged is lost')
      .option('--yes', 'do not ask'),
    { watch: true },
  ).action((options: Options) =>
    run(options, async (session) => {
      if (options.show === true || options.watch !== undefined) {
        await session.look(async () => lookAt(await call(session.api.GET('/v1/admin/drain'))));
      } else if (options.undo === true) {
        session.show(lookAt(await call(session.api.DELETE('/v1/admin/drain'))));
      } else {
        await session.confirm(
          'Move all conversations to the direct path, and end all their runs?',
          options.yes === true,
        );
        await drain(session, options.terminate === true);
      }
    }),
  );
}

async function drain(session: Session, terminate: boolean): Promise<void> {
  const progress = session.progress();
  let fewest = Infinity;
  let stuck = 0;
  for (;;) {
    const state = await call(session.api.POST('/v1/admin/drain', { body: { terminate, limit: 200 } }));
    const { running } = state;
    progress.say(running === undefined ? 'Temporal does not answer' : `${counted(running, 'run')} left`);
    stuck = running !== undefined && running < fewest ? 0 : stuck + 1;
    fewest = Math.min(fewest, running ?? Infinity);
    if (running === 0 || stuck > STUCK_STEPS || session.signal.aborted) {
      progress.done();
      session.show({ ...lookAt(state), isProblem: running !== 0 });
      if (stuck > STUCK_STEPS && !terminate) session.remark('The rest does not answer: parley drain --terminate');
      if (session.code !== EXIT.ok) session.remark('The drain is not complete; the same command goes on.');
      return;
    }
    await sleep(PAUSE_MS, undefined, { signal: session.signal }).catch(() => undefined);
  }
}

function lookAt(state: Drain): Look {
  const { drained, since, by, running } = state;
  const runs = running === undefined ? 'Temporal does not answer' : counted(running, 'run');
  const text = drained
    ? `The workflow path is drained since ${String(since)} by ${String(by)}: ${runs} left. End: parley drain --undo`
    : `The workflow path is in use: ${runs}.`;
  return { value: state, text };
}
