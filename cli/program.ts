import tab from '@bomb.sh/tab/commander';
import { Command } from 'commander';
import type { CommandHost } from './command.ts';
import { auditCommand } from './commands/audit.ts';
import { conversationCommand } from './commands/conversation.ts';
import { conversationsCommand } from './commands/conversations.ts';
import { deleteCommand } from './commands/delete.ts';
import { drainCommand } from './commands/drain.ts';
import { exportCommand } from './commands/export.ts';
import { lifeCommand } from './commands/life.ts';
import { offBoardCommand } from './commands/off-board.ts';
import { pathCommand } from './commands/path.ts';
import { replayCommand } from './commands/replay.ts';
import { restoredCommand } from './commands/restored.ts';
import { runCommands } from './commands/runs.ts';
import { statusCommand } from './commands/status.ts';
import { supervisorCommand } from './commands/supervisor.ts';
import { userCommand } from './commands/user.ts';

const AFTER_HELP = `
Environment:
  PARLEY_URL         address of the service (default: the one that npm start runs here)
  PARLEY_TOKEN       an operator's token (default: where npm start runs, one is signed here)
  PARLEY_TOKEN_FILE  a file that holds the token

Exit codes: 0 all is well; 1 a problem was found, or the service refused; 2 the command line is wrong; 3 the service does not answer.

An id that begins with "-" comes after "--":  parley conversation -- -abc`;

/** All commands, in the order of the help. */
export function makeProgram(version: string, run: CommandHost['run']): Command {
  const program = new Command('parley')
    .description('For operators: what the service does, and what they do with it.')
    .version(version)
    .addHelpText('after', AFTER_HELP)
    // What comes after a command is that command's: a command and its sub-command may have options of the same name.
    .enablePositionalOptions()
    .exitOverride();
  const host: CommandHost = { program, run };
  for (const add of [
    statusCommand,
    conversationsCommand,
    conversationCommand,
    lifeCommand,
    runCommands,
    pathCommand,
    drainCommand,
    restoredCommand,
    supervisorCommand,
    auditCommand,
    userCommand,
    offBoardCommand,
    replayCommand,
    exportCommand,
    deleteCommand,
  ]) {
    add(host);
  }
  tab(program, { completionCommandName: 'completion' });
  return program;
}
