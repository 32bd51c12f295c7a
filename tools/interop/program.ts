import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export type Library = 'openmls' | 'mls-rs';

/** A leaf in the tree of a member. */
export interface ProgramLeaf {
  readonly index: number;
  readonly user: string;
  /** Base64. */
  readonly signatureKey: string;
}

/** An answer of the program (program/src/member.rs). Bytes are base64. */
export interface ProgramAnswer {
  readonly error?: string;
  readonly bytes?: string;
  readonly commit?: string;
  readonly welcome?: string;
  readonly groupInfo?: string;
  readonly kind?: 'application' | 'proposal' | 'commit' | 'removed';
  readonly text?: string;
  readonly state?: {
    readonly epoch: number;
    readonly authenticator: string;
    readonly leaves: readonly ProgramLeaf[];
    readonly ownLeaf: number;
    readonly pending: number;
  };
}

/** A library refused a request. */
export class LibraryError extends Error {
  override readonly name = 'LibraryError';
}

/** The program with OpenMLS and mls-rs: one request a line, answers in the same order. */
export class Program {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #waiting: { resolve: (answer: ProgramAnswer) => void; reject: (error: Error) => void }[] = [];

  constructor(path: string) {
    this.#child = spawn(path, [], { stdio: 'pipe' });
    let stderr = '';
    this.#child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString('utf8')));
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      this.#waiting.shift()?.resolve(JSON.parse(line) as ProgramAnswer);
    });
    this.#child.once('close', () => {
      for (const { reject } of this.#waiting) reject(new Error(`the program ended: ${stderr.slice(-2000)}`));
    });
  }

  /** @throws LibraryError with the words of the library */
  async ask(request: {
    readonly op: string;
    readonly member: string;
    readonly [name: string]: unknown;
  }): Promise<ProgramAnswer> {
    const answer = await new Promise<ProgramAnswer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
    if (answer.error !== undefined) throw new LibraryError(`${request.op} of ${request.member}: ${answer.error}`);
    return answer;
  }

  close(): void {
    this.#child.stdin.end();
  }
}
