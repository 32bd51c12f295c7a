import { stringify } from 'yaml';
import { conversationAlerts } from './conversation-alerts.ts';
import { objectiveAlerts, objectiveRecordings } from './objectives.ts';
import { recordings } from './recordings.ts';
import { type Alert, type Group, type Recording, isAlert } from './rule.ts';
import { serverAlerts } from './server-alerts.ts';
import { serviceAlerts } from './service-alerts.ts';
import { type Times, makeTimes } from './times.ts';

/** Where the pages are; relative, because Parley does not know where its docs are served. */
const RUNBOOKS = 'docs/runbooks';

/** All alerts. @param t durations; @default those of production */
export function alertGroups(t: Times = makeTimes()): readonly Group[] {
  return [
    { name: 'parley-service', rules: serviceAlerts(t) },
    { name: 'parley-conversations', rules: conversationAlerts(t) },
    { name: 'parley-servers', rules: serverAlerts(t) },
    { name: 'parley-objectives', rules: objectiveAlerts() },
  ];
}

/** All recording rules. */
export function recordingGroups(t: Times = makeTimes()): readonly Group[] {
  return [
    { name: 'parley-recordings', rules: recordings(t) },
    { name: 'parley-objective-recordings', rules: objectiveRecordings(t) },
  ];
}

export function allAlerts(): readonly Alert[] {
  return alertGroups().flatMap(({ rules }) => rules.filter(isAlert));
}

/**
 * A rule file of Prometheus.
 * @param every seconds between two evaluations; absent = as Prometheus is set
 */
export function renderGroups(groups: readonly Group[], t: Times = makeTimes(), every?: number): string {
  const interval = every === undefined ? {} : { interval: `${every}s` };
  const content = {
    groups: groups.map(({ name, rules }) => ({ name, ...interval, rules: rules.map((rule) => renderRule(rule, t)) })),
  };
  return stringify(content, { lineWidth: 120 });
}

function renderRule(rule: Alert | Recording, t: Times): object {
  if (!isAlert(rule)) return rule;
  const { alert, expr, severity, summary, description } = rule;
  return {
    alert,
    expr,
    ...(rule.for === '0s' ? {} : { for: t.pause(rule.for) }),
    labels: { severity },
    annotations: { summary, description, runbook_url: `${RUNBOOKS}/${alert}.md` },
  };
}
