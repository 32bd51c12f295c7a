import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseConversationId } from '../domain/ids.ts';
import { parseDuration } from './output/format.ts';
import type { CommonOptions, Session } from './session.ts';

/** What each file in `commands/` gets: the program, and how it runs an action in a session. */
export interface CommandHost {
  readonly program: Command;
  /** Runs an action of a command, with the options that the command was given. */
  readonly run: (options: CommonOptions, action: (session: Session) => Promise<void>) => Promise<void>;
}

/** Adds what every command has. @param watch the command only looks */
export function withCommon(command: Command, { watch = false } = {}): Command {
  command.addOption(new Option('--json', 'print the answer of the service as JSON'));
  command.addOption(new Option('--progress', 'say how far long work is, also where stderr is no terminal'));
  if (watch) {
    command.addOption(
      new Option('--watch [seconds]', 'look again and again, until Ctrl-C (default: every 2 seconds)').argParser(
        seconds,
      ),
    );
  }
  return command;
}

/** An argument that names a conversation. */
export function conversationId(text: string): string {
  if (parseConversationId(text) === undefined) {
    throw new InvalidArgumentError(
      'It must be the id of a conversation: base64url. Write -- before an id that begins with -.',
    );
  }
  return text;
}

/** A whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d+$/.test(text) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** Seconds of `90`, `15m`, `2h`, `3d`. */
export function durationInSeconds(text: string): number {
  const found = parseDuration(text);
  if (found === undefined) throw new InvalidArgumentError('It must be a time: 90, 15m, 2h or 3d.');
  return found;
}

function seconds(text: string): number {
  const number = Number(text);
  if (Number.isFinite(number) && number >= 0.1 && number <= 3600) return number;
  throw new InvalidArgumentError('It must be a number of seconds from 0.1 to 3600.');
}
