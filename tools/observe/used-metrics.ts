import { DASHBOARDS } from './dashboards/all.ts';
import { metricNames } from './metric-names.ts';
import { alertGroups, recordingGroups } from './rules/render.ts';

/** What Prometheus itself makes. */
const OF_PROMETHEUS = new Set(['up', 'ALERTS']);

/** Every metric that a rule or a dashboard names, with the first place that does; what rules record is left out. */
export function usedMetrics(): ReadonlyMap<string, string> {
  const rules = [...alertGroups(), ...recordingGroups()].flatMap((group) => group.rules);
  const exprs = [
    ...rules.map((rule) => ({ place: 'alert' in rule ? rule.alert : rule.record, expr: rule.expr })),
    ...DASHBOARDS.flatMap(({ name, rows }) =>
      rows
        .flatMap(({ panels }) => panels)
        .flatMap(({ title, queries }) => queries.map(({ expr }) => ({ place: `${name}: ${title}`, expr }))),
    ),
  ];
  const used = new Map<string, string>();
  for (const { place, expr } of exprs) {
    for (const name of metricNames(expr)) {
      if (!name.startsWith('parley:') && !OF_PROMETHEUS.has(name) && !used.has(name)) used.set(name, place);
    }
  }
  return used;
}

/** Every number that a rule records. */
export function recordedNames(): ReadonlySet<string> {
  return new Set(recordingGroups().flatMap(({ rules }) => rules.map((rule) => ('record' in rule ? rule.record : ''))));
}
