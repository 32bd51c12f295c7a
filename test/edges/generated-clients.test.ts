import { cpSync } from 'node:fs';
import path from 'node:path';
import { describe, test } from 'vitest';
import { runCommand } from '../../local/run-command.ts';
import { packageRoot } from '../../process/package-root.ts';
import { edgeTool } from '../../tools/edges/found-tools.ts';
import { testFolder } from '../harness/folder.ts';
import { compile, layProgram, runProgram, saveContract } from '../harness/generated/generated-client.ts';
import { makeTutorial } from '../harness/generated/tutorial.ts';
import { useService } from '../harness/service.ts';

const orval = edgeTool('orval') ?? '';
const openapiGenerator = edgeTool('openapi-generator-cli') ?? '';

// openapi-typescript, which npm brings, is in test/e2e/generated.
describe.skipIf(orval === '')('orval', () => {
  const service = useService({ apis: 1, workers: 1 });

  test('makes a client that compiles, and does the tutorial', async () => {
    const folder = testFolder();
    const { input, check } = await makeTutorial(service());
    layProgram('orval', folder);
    await saveContract(input.url, folder);
    await runCommand(orval, ['--config', 'orval.config.mjs'], { cwd: folder });
    await check(await runProgram(process.execPath, [await compile(folder)], input, folder));
  });
});

describe.skipIf(openapiGenerator === '')('openapi-generator', () => {
  const service = useService({ apis: 1, workers: 1 });

  test('makes a Python client whose types are right, and that does the tutorial', async () => {
    const folder = testFolder();
    const { input, check } = await makeTutorial(service());
    cpSync(path.join(packageRoot(), 'test', 'fixtures', 'generated', 'python'), folder, { recursive: true });
    const contract = await saveContract(input.url, folder);
    const args = ['--input-spec', contract, '--generator-name', 'python', '--package-name', 'parley_client'];
    await runCommand(openapiGenerator, ['generate', ...args, '--output', folder], { cwd: folder });
    const python = path.join(path.dirname(openapiGenerator), 'python');
    // As strict as the project that is generated with it asks for; the program itself as strict as mypy can be.
    await runCommand(python, ['-m', 'mypy', 'parley_client'], { cwd: folder });
    const strict = ['--config-file', '/dev/null', '--strict', '--follow-imports', 'silent'];
    await runCommand(python, ['-m', 'mypy', ...strict, 'tutorial.py'], { cwd: folder });
    await check(await runProgram(python, ['tutorial.py'], input, folder));
  });
});
