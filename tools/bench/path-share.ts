import type { Contender } from './contender.ts';

const BATCHES = /^parley_batch_operations_count\{path="(workflow|direct)"\} (\d+)$/gm;

/** Batches that an API process has decided so far, by path. */
export interface Batches {
  readonly workflow: number;
  readonly direct: number;
}

/** Reads them from the metrics of the API. All zero for contenders that have no batches. */
export async function countBatches({ url }: Pick<Contender, 'url'>): Promise<Batches> {
  const response = await fetch(`${url}/metrics`);
  return parseBatches(await response.text());
}

/** @param text metrics in the text format of Prometheus */
export function parseBatches(text: string): Batches {
  const found = new Map([...text.matchAll(BATCHES)].map(([, path, count]) => [path, Number(count)]));
  return { workflow: found.get('workflow') ?? 0, direct: found.get('direct') ?? 0 };
}

/** Percentage of the batches in between that the workflow decided. Undefined = there were none. */
export function workflowShare(before: Batches, after: Batches): number | undefined {
  const workflow = after.workflow - before.workflow;
  const all = workflow + after.direct - before.direct;
  return all === 0 ? undefined : (100 * workflow) / all;
}
