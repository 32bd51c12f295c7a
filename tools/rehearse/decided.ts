import type { Service } from '../harness/service.ts';
import { parseMetrics } from '../load/prometheus-text.ts';

/** Operations by who decided them. */
export interface Decided {
  readonly direct: number;
  readonly workflow: number;
}

/** What the API processes have counted since they started, together. */
export async function decidedBy(service: Service): Promise<Decided> {
  const decided = { direct: 0, workflow: 0 };
  for (const url of service.urls()) {
    const response = await fetch(`${url}/metrics`);
    for (const [sample, value] of parseMetrics(await response.text())) {
      if (!sample.startsWith('parley_operations_total{')) continue;
      if (sample.includes('path="direct"')) decided.direct += value;
      if (sample.includes('path="workflow"')) decided.workflow += value;
    }
  }
  return decided;
}
