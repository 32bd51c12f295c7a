import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Api, makeApi } from './api.ts';
import { findConnection } from './connection.ts';
import { type Followed, follow } from './follow.ts';
import { CommandError, EXIT, type ExitCode } from './exit-codes.ts';
import { cleanJson, cleanLines } from './output/clean.ts';
import { type Progress, makeProgress } from './output/progress.ts';

/** What a command sees of the process that it runs in. Tests give their own. */
export interface Terminal {
  readonly env: NodeJS.ProcessEnv;
  /** Folder of the package. */
  readonly root: string;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly stdout: { readonly isTTY?: boolean; readonly write: (text: string) => unknown };
  readonly stderr: { readonly isTTY?: boolean; readonly write: (text: string) => unknown };
  /** Ends what is watched. */
  readonly signal: AbortSignal;
}

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly progress?: boolean;
  /** Seconds; `true` = the default. */
  readonly watch?: number | true;
}

/** One look at something: the answer, and how people read it. */
export interface Look {
  /** The answer, for `--json`. */
  readonly value: unknown;
  readonly text: string;
  /** Something is wrong: the exit code is 1. */
  readonly isProblem?: boolean;
}

const WATCH_S = 2;
const CLEAR = '\u001b[H\u001b[2J\u001b[3J';

/** One run of a command: where its service is, and how it prints. Everything that is printed is cleaned here. */
export class Session {
  readonly #terminal: Terminal;
  readonly #options: CommonOptions;
  #api: Api | undefined;
  #url = '';
  /** How the run will end. */
  code: ExitCode = EXIT.ok;

  constructor(terminal: Terminal, options: CommonOptions) {
    this.#terminal = terminal;
    this.#options = options;
  }

  get api(): Api {
    if (this.#api === undefined) {
      const connection = findConnection(this.#terminal.env, this.#terminal.root);
      this.#url = connection.url;
      this.#api = makeApi(connection);
    }
    return this.#api;
  }

  /** The events of a stream, which is opened again when it ends, until Ctrl-C. @throws CommandError like `call` */
  follow(path: string): AsyncGenerator<Followed> {
    const connection = findConnection(this.#terminal.env, this.#terminal.root);
    return follow(connection, path, this.signal, ({ message }) => this.remark(`${message}. It is tried again.`));
  }

  /** Of the service; '' before the first request. */
  get url(): string {
    return this.#url;
  }

  get signal(): AbortSignal {
    return this.#terminal.signal;
  }

  /** Lines for people, without `--json` only. */
  say(text: string): void {
    if (this.#options.json !== true) this.#terminal.stdout.write(`${cleanLines(text)}\n`);
  }

  /** A remark beside the answer, on stderr. */
  remark(text: string): void {
    this.#terminal.stderr.write(`${cleanLines(text)}\n`);
  }

  /** One value as one line of JSON, whatever the options are. */
  line(value: unknown): string {
    return `${cleanJson(value, 0)}\n`;
  }

  write(text: string): void {
    this.#terminal.stdout.write(text);
  }

  progress(): Progress {
    return makeProgress(this.#terminal.stderr, this.#options.progress === true);
  }

  show({ value, text, isProblem = false }: Look): void {
    this.code = isProblem ? EXIT.problem : EXIT.ok;
    if (this.#options.json === true) this.#terminal.stdout.write(`${cleanJson(value, 2)}\n`);
    else this.say(text);
  }

  /** Shows something once, or with `--watch` again and again until Ctrl-C. A service that does not answer is waited for. */
  async look(read: () => Promise<Look>): Promise<void> {
    const { watch, json = false } = this.#options;
    if (watch === undefined) {
      this.show(await read());
      return;
    }
    const pauseMs = (watch === true ? WATCH_S : watch) * 1000;
    while (!this.signal.aborted) {
      const found = await read().catch((error: unknown): Look => {
        if (!(error instanceof CommandError) || error.code === EXIT.usage) throw error;
        return { value: { error: error.message }, text: error.message, isProblem: true };
      });
      if (json) {
        this.code = found.isProblem === true ? EXIT.problem : EXIT.ok;
        this.write(this.line(found.value));
      } else {
        if (this.#terminal.stdout.isTTY === true) this.write(CLEAR);
        this.show(found);
      }
      await sleep(pauseMs, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  /** Has a person say yes to what cannot be undone. @param isSure `--yes` was given @throws CommandError */
  async confirm(question: string, isSure: boolean): Promise<void> {
    if (isSure) return;
    const { stdin, stderr } = this.#terminal;
    if (stdin.isTTY !== true) throw new CommandError(EXIT.usage, 'Nobody can be asked here: give --yes');
    const lines = createInterface({ input: stdin, output: stderr as NodeJS.WritableStream });
    try {
      const answer = await lines.question(`${cleanLines(question)} [y/N] `, { signal: this.signal });
      if (!/^y(?:es)?$/i.test(answer.trim())) throw new CommandError(EXIT.problem, 'Nothing was done.');
    } finally {
      lines.close();
    }
  }
}
