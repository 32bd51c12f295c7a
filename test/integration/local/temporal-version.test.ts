import { expect, test } from 'vitest';
import { runCommand } from '../../../local/run-command.ts';
import { resolveProgram } from '../../../local/temporal-binary.ts';
import { temporalCli } from '../../../local/temporal-programs.ts';

test('the Temporal CLI has the server and the UI inside whose versions the containers have', async () => {
  const binary = await resolveProgram(temporalCli, { say: () => undefined });
  const { server = '', ui = '' } = temporalCli.inside ?? {};
  expect((await runCommand(binary, ['--version'])).trim()).toBe(
    `temporal version ${temporalCli.version} (Server ${server}, UI ${ui})`,
  );
});
