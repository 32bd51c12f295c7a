import { Argument } from 'commander';
import { type Schemas, call } from '../api.ts';
import { type CommandHost, wholeNumber, withCommon } from '../command.ts';
import { ago, duration } from '../output/format.ts';
import { pairs, section, sections, table } from '../output/table.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import type { CommonOptions, Look } from '../session.ts';

type Path = Schemas['PathState'];

interface Options extends CommonOptions {
  readonly rollout?: number;
}

/** `parley path [path]` */
export function pathCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('path')
      .addArgument(
        new Argument('[path]', 'the new path; without it, the present one is shown').choices([
          'auto',
          'workflow',
          'direct',
        ]),
      )
      .summary('show or change the execution path')
      .description(
        'A change reaches all processes within a second, without a restart. It is written into the audit trail.',
      )
      .option(
        '--rollout <percent>',
        'this part of the conversations takes the path, the rest the other',
        wholeNumber(0, 100),
      ),
    { watch: true },
  ).action((path: Path['path'] | undefined, options: Options) =>
    run(options, async (session) => {
      if (path !== undefined) {
        const body = { path, rollout: options.rollout ?? 100 };
        await call(session.api.PUT('/v1/admin/path', { body }));
      } else if (options.rollout !== undefined) {
        throw new CommandError(EXIT.usage, '--rollout needs a path');
      }
      await session.look(async () => lookAt(await call(session.api.GET('/v1/admin/path'))));
    }),
  );
}

function lookAt(state: Path): Look {
  const { controller } = state;
  const now = Date.now();
  const wedged = controller.wedged.map(({ conversation, since, locked }) => [
    conversation,
    ago(since, now),
    locked ? 'yes' : 'no',
  ]);
  const text = sections(
    pairs([
      ['path', state.path],
      ['rollout', `${state.rollout} %`],
      ['state', `${controller.state}, since ${ago(controller.since, now)}`],
      ['breaker', controller.breaker],
      ['in flight', `${controller.inFlight} of ${controller.limit} updates`],
      ['updates', `${controller.updatesPerSecond}/s`],
      ['baseline', controller.baselineMs === undefined ? 'not measured' : duration(controller.baselineMs)],
      ['by workflow', `${Math.round(controller.share * 100)} %`],
    ]),
    section(
      'Workflows that do not answer',
      wedged.length === 0 ? '' : table(['conversation', 'since', 'row locked'], wedged),
    ),
  );
  return { value: state, text };
}
