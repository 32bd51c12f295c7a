import path from 'node:path';
import { test } from 'vitest';
import { runCommand } from '../../../local/run-command.ts';
import { packageRoot } from '../../../process/package-root.ts';
import { useFolder } from '../../harness/folder.ts';
import { compile, layProgram, runProgram, saveContract } from '../../harness/generated/generated-client.ts';
import { makeTutorial } from '../../harness/generated/tutorial.ts';
import { useService } from '../../harness/service.ts';

/** The compiler reads a client of 20,000 lines, on cores that it shares. */
const TIME_LIMIT_MS = 300_000;

const service = useService({ apis: 1, workers: 1 });
const folder = useFolder();

test(
  'the client of openapi-typescript and openapi-fetch compiles, and does the tutorial',
  { timeout: TIME_LIMIT_MS },
  async () => {
    const { input, check } = await makeTutorial(service());
    layProgram('openapi-fetch', folder);
    const generator = path.join(packageRoot(), 'node_modules', 'openapi-typescript', 'bin', 'cli.js');
    const contract = await saveContract(input.url, folder);
    await runCommand(process.execPath, [generator, contract, '--output', path.join(folder, 'parley.ts')]);
    await check(await runProgram(process.execPath, [await compile(folder)], input, folder));
  },
);
