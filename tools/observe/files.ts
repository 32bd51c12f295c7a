import { DASHBOARDS } from './dashboards/all.ts';
import { renderDashboard } from './dashboards/render.ts';
import { alertGroups, recordingGroups, renderGroups } from './rules/render.ts';

const HEAD = '# Written by `npm run dashboards` from tools/observe/rules. Do not edit.\n';

/** The files that are written from code, by their path in the repository. */
export function observeFiles(): ReadonlyMap<string, string> {
  return new Map([
    ['ops/prometheus/alerts.yml', HEAD + renderGroups(alertGroups())],
    ['ops/prometheus/rules.yml', HEAD + renderGroups(recordingGroups())],
    ...DASHBOARDS.map(
      (one) => [`ops/grafana/dashboards/${one.name}.json`, JSON.stringify(renderDashboard(one))] as const,
    ),
  ]);
}
