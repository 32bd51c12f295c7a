import { callUntyped } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import { CommandError, EXIT } from '../exit-codes.ts';
import { duration } from '../output/format.ts';
import { type Cell, pairs, section, sections, table } from '../output/table.ts';
import type { CommonOptions, Look } from '../session.ts';

type Answer = Readonly<Record<string, unknown>>;

/** `parley supervisor` */
export function supervisorCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('supervisor')
      .summary('whether the supervisor works, its policy, and what it did')
      .description('The exit code is 1 if it does not run, or has marked the service as degraded.'),
    { watch: true },
  ).action((options: CommonOptions) =>
    run(options, (session) =>
      session.look(async () => {
        const answer = await callUntyped(session.api, 'GET', '/v1/admin/supervisor');
        if (answer === undefined) throw new CommandError(EXIT.problem, 'This service has no supervisor');
        return lookAt(answer);
      }),
    ),
  );
}

/** @param answer {running, silentMs, degraded, policy, troubles, actions}; of a later release also more */
export function lookAt(answer: Answer): Look {
  const { running, silentMs, degraded, policy, troubles, actions, ...rest } = answer;
  const isDegraded = degraded !== undefined && degraded !== null && degraded !== false;
  const text = sections(
    pairs([
      ['running', running === true ? 'yes' : 'no'],
      ['last sign', typeof silentMs === 'number' ? `${duration(silentMs)} ago` : undefined],
      ['degraded', isDegraded ? plain(degraded) : 'no'],
      ...Object.entries(rest).map(([name, value]) => [name, plain(value)] as const),
    ]),
    section(
      'Policy',
      isObject(policy) ? pairs(Object.entries(policy).map(([name, value]) => [name, plain(value)])) : '',
    ),
    section('Troubles', list(troubles)),
    section('Last actions', list(actions)),
  );
  return { value: answer, text, isProblem: running !== true || isDegraded };
}

function list(rows: unknown): string {
  if (!Array.isArray(rows) || rows.length === 0) return '';
  const all = rows.filter(isObject);
  const names = [...new Set(all.flatMap((row) => Object.keys(row)))];
  return table(
    names,
    all.map((row) => {
      const values = new Map(Object.entries(row));
      return names.map((name) => plain(values.get(name)));
    }),
  );
}

function plain(value: unknown): Cell {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null;
}
