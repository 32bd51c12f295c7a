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
    section('Troubles', list(troubles, ['conversation', 'sign', 'firstAt', 'lastAt', 'seen', 'details'])),
    section('Last actions', list(actions, ['at', 'conversation', 'action', 'reason', 'details'])),
  );
  return { value: report, text, isProblem: !running || degraded };
}

function list<T extends object>(rows: readonly T[], names: readonly (keyof T & string)[]): string {
  if (rows.length === 0) return 'none';
  return table(
    names,
    rows.map((row) => names.map((name) => plain(row[name]))),
  );
}

function plain(value: unknown): Cell {
  return typeof value === 'object' || value === undefined ? JSON.stringify(value) : String(value);
}
