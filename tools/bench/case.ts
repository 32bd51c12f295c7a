import type { Contender, ContenderName } from './contender.ts';
import type { Measurement } from './measurement.ts';
import type { Messenger } from './world.ts';

export interface CaseContext {
  readonly contender: Contender;
  readonly messenger: Messenger;
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** One case of the benchmark. */
export interface BenchCase {
  readonly name: string;
  readonly about: string;
  /** False: the case takes too long for `--quick`. */
  readonly isQuick: boolean;
  /** Contenders that can run the case. Absent = all. */
  readonly only?: readonly ContenderName[];
  readonly run: (context: CaseContext) => Promise<Measurement[]>;
}
