import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import prettier from 'prettier';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { packageRoot } from '../../../process/package-root.ts';
import { DASHBOARDS } from '../../../tools/observe/dashboards/all.ts';
import { observeFiles } from '../../../tools/observe/files.ts';
import { metricNames } from '../../../tools/observe/metric-names.ts';
import { recordedNames } from '../../../tools/observe/used-metrics.ts';

const root = packageRoot();
const panels = DASHBOARDS.flatMap(({ name, rows }) =>
  rows.flatMap((row) => row.panels.map((panel) => [`${name}: ${panel.title}`, panel] as const)),
);

test.each([...observeFiles()])('%s is what the code writes (npm run dashboards)', async (file, text) => {
  const full = path.join(root, file);
  const options = await prettier.resolveConfig(full);
  expect(readFileSync(full, 'utf8')).toBe(await prettier.format(text, { ...options, filepath: full }));
});

test('there is no dashboard without code', () => {
  const files = readdirSync(path.join(root, 'ops', 'grafana', 'dashboards'));
  expect(files.sort()).toEqual(DASHBOARDS.map(({ name }) => `${name}.json`).sort());
});

test.each(panels)('%s says what it shows, and asks for something', (_, { description, queries }) => {
  expect(description).toMatch(/^[A-Z0-9`].{9,}\.$/);
  expect(queries.length).toBeGreaterThan(0);
  for (const { expr, legend } of queries) {
    expect(legend).not.toBe('');
    const names = [...metricNames(expr)];
    expect(names.length).toBeGreaterThan(0);
    expect(names.filter((name) => name.startsWith('parley:') && !recordedNames().has(name))).toEqual([]);
    // Otherwise a line would have no end of labels.
    expect(expr).toMatch(/\b(?:sum|max|min|count|topk|histogram_quantile)\b|parley:/);
  }
});

test('every panel of a dashboard has an id, a place and the data source that the reader chose', () => {
  for (const { name } of DASHBOARDS) {
    const { uid, panels: placed } = JSON.parse(
      readFileSync(path.join(root, 'ops', 'grafana', 'dashboards', `${name}.json`), 'utf8'),
    ) as {
      uid: string;
      panels: {
        id: number;
        type: string;
        gridPos: { x: number; y: number; w: number; h: number };
        datasource?: { uid: string };
        targets?: { expr: string }[];
      }[];
    };
    expect(uid).toBe(`parley-${name}`);
    expect(placed.map(({ id }) => id)).toEqual(placed.map((_, i) => i + 1));
    const taken = new Set<string>();
    for (const { type, gridPos, datasource, targets = [] } of placed) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.has(`${x} ${y}`), `two panels at ${x} ${y} of ${name}`).toBe(false);
          taken.add(`${x} ${y}`);
        }
      }
      expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
      if (type !== 'row') expect(datasource?.uid).toBe('${datasource}');
      for (const { expr } of targets) expect(expr).not.toContain('[w]');
    }
  }
});

test('Grafana is told of the data source and the dashboards by the two variables that compose and npm start set', () => {
  const provisioning = path.join(root, 'ops', 'grafana', 'provisioning');
  const { datasources } = parse(readFileSync(path.join(provisioning, 'datasources', 'prometheus.yml'), 'utf8')) as {
    datasources: { type: string; url: string; isDefault: boolean; jsonData: { timeInterval: string } }[];
  };
  expect(datasources).toMatchObject([{ type: 'prometheus', url: '$PROMETHEUS_URL', isDefault: true }]);
  const { global } = parse(readFileSync(path.join(root, 'ops', 'prometheus', 'prometheus.yml'), 'utf8')) as {
    global: { scrape_interval: string };
  };
  // Grafana makes its windows of rates four times as long.
  expect(datasources[0]?.jsonData.timeInterval).toBe(global.scrape_interval);
  const { providers } = parse(readFileSync(path.join(provisioning, 'dashboards', 'parley.yml'), 'utf8')) as {
    providers: { options: { path: string } }[];
  };
  expect(providers.map(({ options }) => options.path)).toEqual(['$PARLEY_DASHBOARDS']);
});
