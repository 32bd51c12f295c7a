import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import type { Dashboard, Panel, Query } from './panel.ts';

const TAG = 'parley';
/** Of the 24 columns of a dashboard. */
const SPAN = { number: 4, chart: 12 };
const HEIGHT = { number: 4, chart: 8 };
/** The reader chooses among the data sources of this Grafana. */
const SOURCE = { type: 'prometheus', uid: '${datasource}' };

// The format that Grafana 12 loads from files. Its successor is marked as the one to prefer, and is for later versions.
/* eslint-disable @typescript-eslint/no-deprecated */
/** A dashboard as Grafana imports it. */
export function renderDashboard({ name, title, description, rows }: Dashboard): dashboard.Dashboard {
  const builder = new dashboard.DashboardBuilder(title)
    .uid(`parley-${name}`)
    .description(description)
    .tags([TAG])
    .readonly()
    .refresh('15s')
    .time({ from: 'now-1h', to: 'now' })
    .timezone('utc')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .link(new dashboard.DashboardLinkBuilder('Parley').type(dashboard.DashboardLinkType.Dashboards).tags([TAG]))
    .withVariable(new dashboard.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'));
  let id = 0;
  for (const row of rows) {
    builder.withRow(new dashboard.RowBuilder(row.title).id(++id));
    for (const panel of row.panels) builder.withPanel(renderPanel(panel, ++id));
  }
  return builder.build();
}
/* eslint-enable @typescript-eslint/no-deprecated */

function renderPanel(panel: Panel, id: number): Builder<dashboard.Panel> {
  const { title, description, unit, queries, isNumber = false, alarm } = panel;
  const kind = isNumber ? 'number' : 'chart';
  const builder = isNumber
    ? new stat.PanelBuilder().reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    : new timeseries.PanelBuilder().fillOpacity(0).lineWidth(2).min(0);
  builder
    .id(id)
    .title(title)
    .description(description)
    .unit(unit)
    .datasource(SOURCE)
    .span(SPAN[kind])
    .height(HEIGHT[kind]);
  queries.forEach((query, place) => builder.withTarget(renderQuery(query, place, isNumber)));
  if (alarm !== undefined) builder.thresholds(thresholds(alarm));
  if (alarm !== undefined && builder instanceof timeseries.PanelBuilder) {
    builder.thresholdsStyle(
      new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed),
    );
  }
  return builder;
}

function renderQuery({ expr, legend }: Query, place: number, isInstant: boolean): Builder<prometheus.Dataquery> {
  const query = new prometheus.DataqueryBuilder()
    .datasource(SOURCE)
    .refId(String.fromCodePoint('A'.charCodeAt(0) + place))
    .expr(expr.replaceAll('[w]', '[$__rate_interval]'))
    .legendFormat(legend);
  return isInstant ? query.instant() : query.range();
}

function thresholds(alarm: number): dashboard.ThresholdsConfigBuilder {
  return new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps([
    { value: null, color: 'green' },
    { value: alarm, color: 'red' },
  ]);
}
