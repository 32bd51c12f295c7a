import type pg from 'pg';
import type { ParleyClient } from '../../client/index.ts';
import type { InProcessApi } from '../harness/in-process-api.ts';

/** The service that an attack goes against, as an attacker has it: an address and tokens of its own users. */
export interface Target {
  readonly url: string;
  /** Sends one request with the token of `user`. */
  readonly ask: InProcessApi['ask'];
  readonly token: (user: string) => Promise<string>;
  readonly clientOf: (user: string, device?: string) => ParleyClient;
  /** For what an attack finds there already, and for looking at what it left. No attacker has it. */
  readonly pool: pg.Pool;
  /** The process under attack; absent when the API runs in the process of a test. */
  readonly process: TargetProcess | undefined;
  /** True: a smaller form that shows the outcome and not the strain. */
  readonly isShort: boolean;
}

export interface TargetProcess {
  readonly pid: number;
  /** CPU time used so far, in milliseconds. */
  readonly cpuMs: () => number;
  /** Resident memory now, in MB. */
  readonly residentMb: () => number;
}

/** What an attack achieved. */
export interface Findings {
  /** What the service answered, as `status code`, with how often. Other numbers stand here too. */
  readonly achieved: Readonly<Record<string, number>>;
  /** One sentence for each thing that must not be. Empty = the defence held. */
  readonly failures: readonly string[];
}

/** One way to hurt others, bounded in size and time. */
export interface AttackCase {
  readonly name: string;
  /** What the attacker does, as a sentence. */
  readonly does: string;
  /** What the service would have to do if it believed the attacker. */
  readonly work: string;
  /** False: it needs a process of its own, or limits that tests switch off. @default true */
  readonly hasShortForm?: boolean;
  readonly run: (target: Target) => Promise<Findings>;
}
