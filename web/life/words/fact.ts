/** Kinds of facts; the timeline can be filtered by them. */
export const FACT_KINDS = ['operation', 'log', 'workflow', 'decision', 'timer', 'care', 'task'] as const;
export type FactKind = (typeof FACT_KINDS)[number];

/** What a kind of facts is called in the page, and what it means. */
export const KIND_WORDS: Readonly<Record<FactKind, { readonly label: string; readonly means: string }>> = {
  operation: { label: 'Requests', means: 'What clients asked for, and what became of it' },
  log: { label: 'Log', means: 'Entries of the log: what all members read, in one order' },
  workflow: { label: 'Workflow', means: 'Updates, signals and runs of the conversation’s workflow in Temporal' },
  decision: { label: 'Decisions', means: 'Local activities: calls of the one deciding transaction in Postgres' },
  timer: { label: 'Timers', means: 'Alarms that the workflow has set' },
  care: { label: 'Troubles', means: 'What does not answer, and what the supervisor did about it' },
  task: { label: 'Worker steps', means: 'Workflow tasks: each turn in which a worker moves the workflow on' },
};

/** One line of the timeline: something that happened, in words. */
export interface Fact {
  /** The same fact told again has the same key. */
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: FactKind;
  readonly text: string;
  readonly tone: 'plain' | 'good' | 'warning' | 'bad';
  /** It happens beside what people do, for example a read mark. */
  readonly isMinor?: boolean;
  /** Names and values, for whoever wants to know more. */
  readonly details: readonly (readonly [name: string, value: string])[];
}

/** "1 operation", "3 operations". */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** "312 bytes", "9.1 KB". */
export function sizeWords(bytes: number): string {
  if (bytes < 1000) return counted(bytes, 'byte');
  return bytes < 1_000_000 ? `${(bytes / 1000).toFixed(1)} KB` : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** "250 ms", "30 s", "2 min", "24 h", "30 days". */
export function durationWords(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 120_000) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 1 : 0))} s`;
  if (ms < 7_200_000) return `${Math.round(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / 86_400_000)} days`;
}

/** A name of a program as words: `workflowTaskStarted` is "workflow task started". */
export function plainWords(name: string): string {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .replaceAll(/[-_]+/g, ' ')
    .toLowerCase();
}
