import { type Schemas, call } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import { duration } from '../output/format.ts';
import { type Cell, pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look } from '../session.ts';

/** `parley supervisor` */
export function supervisorCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('supervisor')
      .summary('whether the supervisor works, its policy, and what it did')
      .description('The exit code is 1 if it does not run, or has marked the service as degraded.'),
    { watch: true },
  ).action((options: CommonOptions) =>
    run(options, (session) => session.look(async () => lookAt(await call(session.api.GET('/v1/admin/supervisor'))))),
  );
}

function lookAt(report: Schemas['SupervisorReport']): Look {
  const { running, silentMs, degraded, policy, troubles, actions } = report;
  const text = sections(
    pairs([
      ['running', running ? 'yes' : 'no'],
      ['last sign', silentMs === undefined ? 'never' : `${duration(silentMs)} ago`],
      ['degraded', degraded ? 'yes' : 'no'],
    ]),
    section('Policy', pairs(Object.entries(policy))),
    section(
      'Troubles',
      list(
        ['conversation', 'sign', 'firstAt', 'lastAt', 'seen', 'details'],
        troubles.map(({ conversation, sign, firstAt, lastAt, seen, details }) => [
          conversation,
          sign,
          firstAt,
          lastAt,
          seen,
          JSON.stringify(details),
        ]),
      ),
    ),
    section(
      'Last actions',
      list(
        ['at', 'conversation', 'action', 'reason', 'details'],
        actions.map(({ at, conversation, action, reason, details }) => [
          at,
          conversation,
          action,
          reason,
          JSON.stringify(details),
        ]),
      ),
    ),
  );
  return { value: report, text, isProblem: !running || degraded };
}

function list(names: readonly string[], rows: readonly (readonly Cell[])[]): string {
  return rows.length === 0 ? 'none' : table(names, rows);
}
