import { parseArgs } from 'node:util';
import type { ConversationPath } from '../../dispatch/executor.ts';
import { CONVERSATION_PATHS } from '../../process/config-variables.ts';
import { chooseNames, wholeNumber } from '../command-line.ts';
import { FAULTS } from './faults.ts';

export interface Options {
  readonly only: readonly string[];
  readonly path: ConversationPath;
  readonly seed: number;
  readonly minutes: number;
  readonly isShort: boolean;
  readonly list: boolean;
  /** Writes the table and the picture of docs/explanation/chaos.md. */
  readonly docs: boolean;
  /** File for the report as JSON, beside the picture. */
  readonly json: string | undefined;
}

export const USAGE =
  'npm run chaos -- [--minutes N] [--seed N] [--only fault,fault] [--path auto|workflow|direct] [--short] [--list] [--json FILE] [--docs]';

const MINUTES = 10;

/** @throws Error that names the argument that is wrong */
export function chaosOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      path: { type: 'string', default: 'auto' },
      seed: { type: 'string' },
      minutes: { type: 'string' },
      short: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      docs: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  });
  const [path = 'auto'] = chooseNames(values.path, CONVERSATION_PATHS);
  const names = FAULTS.map(({ name }) => name);
  const standard = FAULTS.filter(({ onlyByName = false }) => !onlyByName).map(({ name }) => name);
  return {
    path,
    only: chooseNames(values.only, names, standard),
    seed: wholeNumber(values.seed, 1 + (Date.now() % 1_000_000)),
    minutes: wholeNumber(values.minutes, MINUTES),
    isShort: values.short,
    list: values.list,
    docs: values.docs,
    json: values.json,
  };
}
