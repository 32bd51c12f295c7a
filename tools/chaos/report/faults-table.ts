import { seconds } from '../bounds.ts';
import type { ChaosReport } from '../run.ts';
import type { Table } from './table.ts';

type Impact = ChaosReport['impacts'][number];

/** One row for each fault that happened. */
export function faultsTable({ impacts, path }: Pick<ChaosReport, 'impacts' | 'path'>): Table {
  return {
    head: [
      'fault',
      'hit',
      'failed tries: messages',
      'commits',
      'others',
      'longest gap: messages',
      'commits',
      'sends again',
      ...(path === 'direct' ? [] : ['on the workflow again']),
      'workflow share',
      'diversions',
      'targets',
    ],
    rows: impacts.map((impact) => [
      impact.fault,
      impact.what,
      counts(impact.failed.message),
      counts(impact.failed.commit),
      counts(impact.failed.other),
      seconds(impact.gaps.message),
      seconds(impact.gaps.commit),
      after(impact, impact.answeredAt),
      ...(path === 'direct' ? [] : [after(impact, impact.workflowAt)]),
      `${Math.round(impact.workflowShare * 100)} %`,
      counts(impact.diversions),
      targets(impact),
    ]),
  };
}

function after({ healedAt }: Impact, at: number | undefined): string {
  return seconds(at === undefined ? undefined : at - healedAt);
}

function counts(all: Readonly<Record<string, number>>): string {
  const parts = Object.entries(all).map(([name, count]) => `${count} ${name}`);
  return parts.length === 0 ? '0' : parts.join(', ');
}

function targets({ bounds }: Impact): string {
  const missed = bounds.filter(({ isMet }) => !isMet);
  if (bounds.length === 0) return '';
  if (missed.length === 0) return 'met';
  return `MISSED ${missed.map(({ target, measured }) => `${target}: ${measured}`).join('; ')}`;
}
