import { parseArgs } from 'node:util';
import type { ImportOptions } from './run.ts';

export const USAGE = `npm run import -- [--from URL] [--to URL] [--dry-run] [--parallel N] [--retention-days N] [--json]

  --from URL            database of the original system, which is only read; default: ORIGINAL_DATABASE_URL
  --to URL              database of Parley, migrated; default: DATABASE_URL
                        The arguments of a process are shown to all users of the machine: leave passwords in the variables.
  --dry-run             write nothing, and report what an import would find
  --parallel N          conversations at the same time; default: 4
  --retention-days N    policy of the imported conversations; default: messages are kept for ever
  --json                the report as JSON

It may be stopped (Ctrl-C) and run again at any time: it goes on, and takes over what has changed in the original since.
Exit code 0: all is imported. 1: something was left out, or it was stopped; the report says what. 2: wrong arguments.`;

export interface ImportArguments extends ImportOptions {
  readonly from: string;
  readonly to: string;
  readonly json: boolean;
}

const MOST_PARALLEL = 32;
const MOST_DAYS = 3650;

/**
 * @param env DATABASE_URL and ORIGINAL_DATABASE_URL, for what the arguments do not say
 * @returns undefined when help was asked for
 * @throws Error that names the argument that is wrong
 */
export function importOptions(
  args: readonly string[],
  env: Readonly<Partial<Record<string, string>>>,
): ImportArguments | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      from: { type: 'string' },
      to: { type: 'string' },
      'dry-run': { type: 'boolean', default: false },
      parallel: { type: 'string' },
      'retention-days': { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const { ORIGINAL_DATABASE_URL: original = '', DATABASE_URL: ours = '' } = env;
  const { from = original, to = ours } = values;
  if (from === '') throw new Error('--from is missing, and ORIGINAL_DATABASE_URL is not set.');
  if (to === '') throw new Error('--to is missing, and DATABASE_URL is not set.');
  return {
    from,
    to,
    dryRun: values['dry-run'],
    json: values.json,
    parallel: between('--parallel', values.parallel, MOST_PARALLEL) ?? 4,
    retentionDays: between('--retention-days', values['retention-days'], MOST_DAYS),
  };
}

function between(name: string, given: string | undefined, most: number): number | undefined {
  if (given === undefined) return undefined;
  const number = Number(given);
  if (!Number.isSafeInteger(number) || number < 1 || number > most) {
    throw new Error(`${name} must be a whole number from 1 to ${most}.`);
  }
  return number;
}
