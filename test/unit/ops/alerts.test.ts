import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { makeMetrics } from '../../../process/metrics.ts';
import { packageRoot } from '../../../process/package-root.ts';

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for?: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

const folder = path.join(packageRoot(), 'ops', 'prometheus');
const read = (file: string): unknown => parse(readFileSync(path.join(folder, file), 'utf8'));
const { rule_files: files } = read('prometheus.yml') as { rule_files: string[] };
const rules = files.flatMap((file) =>
  (read(file) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules),
);
/** Names in expressions that are no metrics. */
const FUNCTIONS = ['max', 'sum', 'rate', 'abs'];
/** Metrics of the SDK; the worker serves them on a port of their own. */
const OF_THE_SDK = 'temporal_';

test('Prometheus loads rule files that exist', () => {
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) expect(existsSync(path.join(folder, file)), file).toBe(true);
});

test.each(rules.map((rule) => [rule.alert, rule] as const))(
  '%s is complete, and has metrics that exist',
  async (_, rule) => {
    expect(rule.alert).toMatch(/^Parley[A-Z]\w+$/);
    expect(rule.labels.severity).toMatch(/^(critical|warning)$/);
    expect(rule.for ?? '1m').toMatch(/^\d+[smh]$/);
    for (const text of [rule.annotations.summary, rule.annotations.description]) expect(text).toMatch(/^[A-Z].{10,}/);
    const words = rule.expr.replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, '').match(/[a-z_]\w*/g) ?? [];
    const names = words.filter((word) => !FUNCTIONS.includes(word));
    expect(names.length).toBeGreaterThan(0);
    const known = (await makeMetrics({ collectDefaults: false }).registry.getMetricsAsJSON()).map(({ name }) => name);
    for (const name of names.filter((one) => !one.startsWith(OF_THE_SDK))) expect(known).toContain(name);
  },
);
