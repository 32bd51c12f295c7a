import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { packageRoot } from '../../../process/package-root.ts';
import { metricNames } from '../../../tools/observe/metric-names.ts';
import { allAlerts, alertGroups, recordingGroups, renderGroups } from '../../../tools/observe/rules/render.ts';
import { makeTimes } from '../../../tools/observe/rules/times.ts';
import { recordedNames } from '../../../tools/observe/used-metrics.ts';

interface RuleTest {
  readonly name: string;
  readonly promql_expr_test: readonly {
    readonly expr: string;
    readonly exp_samples: readonly { readonly labels: string; readonly value: number }[];
  }[];
}

const root = packageRoot();
const folder = path.join(root, 'ops', 'prometheus');
const read = (...names: string[]): string => readFileSync(path.join(...names), 'utf8');
const names = allAlerts().map(({ alert }) => alert);
const tests = readdirSync(path.join(folder, 'tests')).flatMap(
  (file) => (parse(read(folder, 'tests', file)) as { tests: RuleTest[] }).tests,
);

test('Prometheus loads the rule files, and they exist', () => {
  const { rule_files: files } = parse(read(folder, 'prometheus.yml')) as { rule_files: string[] };
  expect([...files].sort()).toEqual(['alerts.yml', 'rules.yml']);
  for (const file of files) expect(existsSync(path.join(folder, file)), file).toBe(true);
});

test('every alert has a name of its own', () => {
  expect(new Set(names).size).toBe(names.length);
});

test.each(allAlerts().map((alert) => [alert.alert, alert] as const))('%s says what is wrong', (_, alert) => {
  expect(alert.alert).toMatch(/^Parley[A-Z]\w+$/);
  expect(metricNames(alert.expr).size).toBeGreaterThan(0);
  expect(alert.summary).toMatch(/^[A-Z][^{}]{10,}[^.]$/);
  expect(alert.description).toMatch(/^[A-Z{].{10,}\.$/);
});

test('alerts and dashboards use only numbers that a rule records', () => {
  const used = [...alertGroups(), ...recordingGroups()].flatMap(({ rules }) =>
    rules.flatMap(({ expr }) => [...metricNames(expr)].filter((name) => name.startsWith('parley:'))),
  );
  expect(used.filter((name) => !recordedNames().has(name))).toEqual([]);
});

test.each(names)('%s has a promtool test that makes it fire, and one that keeps it silent', (name) => {
  const expr = `count(ALERTS{alertname="${name}", alertstate="firing"})`;
  for (const [verb, samples] of [
    ['fires', [{ labels: '{}', value: 1 }]],
    ['stays silent', []],
  ] as const) {
    const found = tests.filter((one) => one.name.startsWith(`${name} ${verb}: `));
    expect(found.length, verb).toBeGreaterThan(0);
    for (const { promql_expr_test: checks } of found) {
      expect(checks.map((check) => [check.expr, check.exp_samples])).toEqual([[expr, samples]]);
    }
  }
});

test('promtool tests are about alerts that exist', () => {
  expect(tests.filter(({ name }) => !names.includes(name.split(' ')[0] ?? ''))).toEqual([]);
});

const SECTIONS = ['## Meaning', '## Impact', '## Diagnosis', '## Mitigation', '## Escalation'];

test.each(names)('%s has a runbook: meaning, impact, diagnosis with exact commands, mitigation, escalation', (name) => {
  const page = read(root, 'docs', 'runbooks', `${name}.md`);
  expect(page.startsWith(`# ${name}\n`)).toBe(true);
  expect(page.match(/^## .+$/gm)).toEqual(SECTIONS);
  const diagnosis = page.split('## Diagnosis')[1]?.split('## Mitigation')[0] ?? '';
  expect(diagnosis).toMatch(/```(?:promql|sh|sql)\n.+/);
  for (const section of page.split(/^## .+$/m).slice(1)) expect(section.trim().length).toBeGreaterThan(20);
});

test('every runbook is about an alert, and the list names all of them', () => {
  const pages = readdirSync(path.join(root, 'docs', 'runbooks')).filter((file) => file !== 'README.md');
  expect(pages.sort()).toEqual(names.map((name) => `${name}.md`).sort());
  const list = read(root, 'docs', 'runbooks', 'README.md');
  expect(allAlerts().filter((one) => !list.includes(`| [${one.alert}](${one.alert}.md)`))).toEqual([]);
  for (const { alert, severity, summary } of allAlerts()) {
    const line = list.split('\n').find((one) => one.includes(`(${alert}.md)`)) ?? '';
    expect(line.split('|').map((cell) => cell.trim())).toEqual(['', `[${alert}](${alert}.md)`, severity, summary, '']);
  }
});

test('rules that are scaled have the same alerts with shorter durations, and nothing else differs', () => {
  type File = { groups: { rules: { alert: string; for?: string; expr: string }[] }[] };
  const render = (scale: number): File['groups'][0]['rules'] => {
    const t = makeTimes(scale);
    return (parse(renderGroups(alertGroups(t), t)) as File).groups.flatMap(({ rules }) => rules);
  };
  const [normal, short] = [render(1), render(60)];
  expect(short.map(({ alert }) => alert)).toEqual(normal.map(({ alert }) => alert));
  const units = new Map([
    ['s', 1],
    ['m', 60],
    ['h', 3600],
  ]);
  const seconds = (text = '0s'): number => Number.parseInt(text) * (units.get(text.slice(-1)) ?? Number.NaN);
  normal.forEach((rule, i) => {
    expect(seconds(short[i]?.for), rule.alert).toBe(Math.ceil(seconds(rule.for) / 60));
  });
  const withoutTimes = (expr: string): string => expr.replaceAll(/\[\d+\w\]/g, '[]').replaceAll(/ > \d+/g, ' > x');
  expect(short.map(({ expr }) => withoutTimes(expr))).toEqual(normal.map(({ expr }) => withoutTimes(expr)));
});
