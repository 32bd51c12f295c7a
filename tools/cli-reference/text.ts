import type { Command } from 'commander';
import { makeProgram } from '../../cli/program.ts';

const INTRODUCTION = `# Command line for operators

\`npm run parley -- <command>\` talks to the admin API of a service, and to nothing else. In the image it is
\`node dist/cli/main.js <command>\`; after \`npm link\` it is \`parley <command>\`. How to use it: [operate with the command line](../how-to/cli.md).
\`npm run cli-reference\` writes this page from the program.

## Where it connects to

| variable            | meaning                                                                                                                   |
| ------------------- | ------------------------------------------------------------------------------------------------------------------------- |
| \`PARLEY_URL\`        | address of the service. Default: the one that \`npm start\` runs on this machine                                            |
| \`PARLEY_TOKEN\`      | an operator's token: a JWT whose \`scope\` contains \`operator\`. Default, for a service on this machine only: one is signed with the secret of \`npm start\` or with \`JWT_SECRET\` |
| \`PARLEY_TOKEN_FILE\` | a file that holds the token                                                                                               |

The token is never an argument: arguments are visible to everybody on a machine. It is sent to \`PARLEY_URL\` only, never to where that
address redirects.

## Exit codes

| code | meaning                                                                                 |
| ---- | --------------------------------------------------------------------------------------- |
| 0    | done, and nothing is wrong                                                              |
| 1    | a problem was found, or the service refused                                             |
| 2    | the command line is wrong, or nobody could be asked where a question needs a yes        |
| 3    | the service does not answer                                                             |

What users wrote (ids, names, errors) is printed without control characters: \`\\u{1b}\` stands for one.
`;

/** The page \`docs/reference/cli.md\`, before prettier. */
export function cliReference(): string {
  const program = makeProgram('', () => Promise.resolve());
  const commands = program.commands.flatMap((command) => [command, ...command.commands]);
  return [INTRODUCTION, '## Commands', ...commands.filter(isShown).map(describe)].join('\n\n');
}

function isShown(command: Command): boolean {
  const { parent } = command;
  return parent === null || parent.createHelp().visibleCommands(parent).includes(command);
}

function describe(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one !== null; one = one.parent) names.unshift(one.name());
  const help = command.createHelp();
  const args = help.visibleArguments(command).map((argument) => [argument.name(), argument.description]);
  const options = help
    .visibleOptions(command)
    .filter(({ long }) => long !== '--help')
    .map((option) => [option.flags, help.optionDescription(option)]);
  const usage = [
    ...names,
    ...command.registeredArguments.map((one) => (one.required ? `<${one.name()}>` : `[${one.name()}]`)),
  ];
  const rows = [...args, ...options].map(
    ([name = '', text = '']) => `| \`${name.replaceAll('|', '\\|')}\` | ${text.replaceAll('|', '\\|')} |`,
  );
  return [
    `### ${names.join(' ')}`,
    `\`${usage.join(' ')}\`: ${command.summary() === '' ? command.description() : `${command.summary()}.`}`,
    ...(command.summary() === '' || command.description() === '' ? [] : [command.description()]),
    ...(rows.length === 0 ? [] : [['| argument or option | meaning |', '| --- | --- |', ...rows].join('\n')]),
  ].join('\n\n');
}
