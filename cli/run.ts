import { CommanderError } from 'commander';
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts';
import { cleanLines } from './output/clean.ts';
import { makeProgram } from './program.ts';
import { Session, type Terminal } from './session.ts';

/** Runs one command line. @param args without the names of the programs @returns how it ends; nothing is thrown */
export async function run(args: readonly string[], terminal: Terminal, version: string): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = makeProgram(version, async (options, action) => {
    const session = new Session(terminal, options);
    await action(session);
    code = session.code;
  });
  for (const command of [program, ...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
    command.exitOverride().configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(cleanLines(text)),
    });
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    return ended(error, terminal);
  }
}

function ended(error: unknown, { stderr, signal }: Terminal): ExitCode {
  // Help and version end like this too. Everything else was said already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof CommandError) {
    stderr.write(`${cleanLines(error.message)}\n`);
    return error.code;
  }
  if (signal.aborted) return EXIT.problem;
  stderr.write(`${cleanLines(error instanceof Error ? (error.stack ?? error.message) : String(error))}\n`);
  return EXIT.problem;
}
