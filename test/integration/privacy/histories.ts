import type { Client } from '@temporalio/client';

/** Everything that Temporal stores about one run. */
export interface RunRecord {
  readonly workflowId: string;
  /** All strings of history and description, and the bytes of payloads as text. */
  readonly text: string;
  /** All objects in payloads, at any depth. */
  readonly objects: readonly Readonly<Record<string, unknown>>[];
}

/** The records of all runs of a task queue, including closed ones. */
export async function readRuns(temporal: Client, taskQueue: string): Promise<RunRecord[]> {
  const runs: RunRecord[] = [];
  for await (const { workflowId, runId, raw } of temporal.workflow.list({ query: `TaskQueue = '${taskQueue}'` })) {
    const history = await temporal.workflow.getHandle(workflowId, runId).fetchHistory();
    const strings: string[] = [];
    collect(history, strings);
    collect(raw, strings);
    runs.push({ workflowId, text: strings.join('\n'), objects: strings.flatMap(objectsOf) });
  }
  return runs;
}

/** Collects every string, and every byte string as text. */
function collect(value: unknown, into: string[]): void {
  if (typeof value === 'string') into.push(value);
  else if (value instanceof Uint8Array) into.push(Buffer.from(value).toString('utf8'));
  else if (Array.isArray(value)) value.forEach((item) => collect(item, into));
  else if (typeof value === 'object' && value !== null) Object.values(value).forEach((item) => collect(item, into));
}

function objectsOf(text: string): Record<string, unknown>[] {
  if (!/^[[{]/.test(text)) return [];
  try {
    const found: Record<string, unknown>[] = [];
    JSON.parse(text, (_key, value: unknown) => {
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) found.push({ ...value });
      return value;
    });
    return found;
  } catch {
    return [];
  }
}
