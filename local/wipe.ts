// `npm run wipe` deletes all data of the local stack, after a question. `-- --yes` does not ask.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline/promises';
import { parseArgs } from 'node:util';
import { readEnvironment } from '../process/env-file.ts';
import { packageRoot } from '../process/package-root.ts';
import { createCleanup } from '../process/cleanup.ts';
import { lockDataFolder } from './data-lock.ts';
import { stackOptions } from './options.ts';
import { postgresAccount, reachableFolder } from './postgres-account.ts';
import { messageOf } from '../process/message-of.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);
/** Every entry that a stack makes in its data folder. */
const OURS =
  /^(?:api-url|(?:jwt-secret|external-sender-key)(?:\.\d+)?|logs|observe|postgres(?:\..+)?|run|running\.json|temporal)$/;

const USAGE = `npm run wipe -- [--yes]
  --yes  does not ask`;

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  return 1;
});

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { help: { type: 'boolean', default: false }, yes: { type: 'boolean', default: false } },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const root = packageRoot();
  const { env, ...file } = readEnvironment(process.env, root);
  const options = stackOptions(env, root, [], file);
  const { dataDir } = options;
  if (!existsSync(dataDir)) {
    say(`There is no data: ${dataDir} does not exist.`);
    return 0;
  }
  const foreign = readdirSync(dataDir).filter((entry) => !OURS.test(entry));
  if (foreign.length > 0)
    throw new Error(`${dataDir} has other files than those of Parley (${foreign.join(', ')}). Nothing was deleted.`);
  if (!values.yes && !(await isWanted(dataDir))) {
    say('Nothing was deleted.');
    return 1;
  }
  const cleanup = createCleanup();
  // Refuses while a stack runs, and stops what is left of one that was killed.
  await lockDataFolder({ options, say, cleanup });
  const postgres = path.join(dataDir, 'postgres');
  const elsewhere = reachableFolder(
    postgres,
    postgresAccount(postgres, () => undefined),
    () => undefined,
  );
  if (elsewhere !== postgres) rmSync(path.dirname(elsewhere), { recursive: true, force: true });
  rmSync(dataDir, { recursive: true, force: true });
  say(`Deleted ${dataDir}: database, workflows, logs and the secret of the tokens.`);
  return 0;
}

async function isWanted(dataDir: string): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new Error('Nobody can be asked here. npm run wipe -- --yes deletes without a question.');
  const lines = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await lines.question(
    `Delete ${dataDir} with the database, workflows, logs and the secret of the tokens? (yes/no) `,
  );
  lines.close();
  return answer.trim() === 'yes';
}
