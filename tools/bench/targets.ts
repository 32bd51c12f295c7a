import type { ContenderName } from './contender.ts';
import type { Measurement } from './measurement.ts';
import { own } from '../../domain/own.ts';

/** A target and the measured value. */
export interface Target {
  readonly what: string;
  readonly value: number;
  readonly limit: number;
  readonly isMet: boolean;
}

type Find = (load: string, contender: ContenderName, value: string) => number;

/** Closed loops compare messages/s. Open loops compare p50. */
const THROUGHPUT = ['serial', 'spread-16', 'spread-64', 'hot-64', 'hot-256'];
const OPEN = ['open-200', 'open-1000'];
const MAX_GROWTH = 1.2;
const MAX_MB_PER_CONVERSATION = 0.5;
const MAX_LONE_SEND_MS = 25;
const MAX_FAN_OUT_MS = 100;
const MAX_COMMIT_MS = 150;
const MAX_KB_PER_STREAM = 30;
const MAX_OPEN_AUTO_MS = 40;
/** Messages/s of the original's Rust actors with 64 senders over 200 conversations on two cores of the same kind. */
const ORIGINAL_PER_SECOND = 684;
/** CPU of a message in all processes but the load generator, in ms. */
const MAX_WORKFLOW_CPU = { 'spread-64': 12, serial: 16 } as const;

/** Compares the medians with the targets. Targets without a measurement are left out. */
export function judge(medians: readonly Measurement[]): Target[] {
  const find: Find = (load, contender, value) =>
    own(medians.find((one) => one.load === load && one.contender === contender)?.values ?? {}, value) ?? Number.NaN;
  const times = (load: string, contender: ContenderName, other: ContenderName): number =>
    find(load, contender, 'perSecond') / find(load, other, 'perSecond');
  const atLeast = (what: string, value: number, limit: number): Target => ({
    what,
    value,
    limit,
    isMet: value >= limit,
  });
  const atMost = (what: string, value: number, limit: number): Target => ({
    what,
    value,
    limit,
    isMet: value <= limit,
  });

  const growth = (['workflow', 'direct'] as const).flatMap((contender) => [
    atMost(
      `${contender}: p50 with 10,000 members / p50 with 2`,
      find('members-10000', contender, 'p50') / find('members-2', contender, 'p50'),
      MAX_GROWTH,
    ),
    atMost(
      `${contender}: p50 with 100,000 entries / p50 with an empty log`,
      find('send-stored', contender, 'p50') / find('send-empty', contender, 'p50'),
      MAX_GROWTH,
    ),
    ...['page-last', 'page-middle'].map((page) =>
      atMost(
        `${contender}: p50 of ${page} of 100,000 entries / p50 of a short log`,
        find(page, contender, 'p50') / find('page-short', contender, 'p50'),
        MAX_GROWTH,
      ),
    ),
  ]);
  const deliveries = (['workflow', 'direct'] as const).flatMap((contender) => [
    atMost(`${contender}: p95 from answer to stream, ms`, find('fan-out', contender, 'p95'), MAX_FAN_OUT_MS),
    atMost(`${contender}: p95 of a commit with 50 members, ms`, find('commit-50', contender, 'p95'), MAX_COMMIT_MS),
  ]);
  const streams = ['conversation', 'account'].map((kind) =>
    atMost(`KB per open ${kind} stream`, find(`streams-${kind}`, 'direct', 'kbPerStream'), MAX_KB_PER_STREAM),
  );
  const auto = [
    atLeast('spread-64: auto / direct', times('spread-64', 'auto', 'direct'), 0.7),
    atLeast('spread-64: auto / plain-sql', times('spread-64', 'auto', 'plain-sql'), 1),
    atMost('open-1000: p95 of auto, ms', find('open-1000', 'auto', 'p95'), MAX_OPEN_AUTO_MS),
    atLeast('hot-256: auto / workflow', times('hot-256', 'auto', 'workflow'), 1),
    atMost('serial: p50 of auto / workflow', find('serial', 'auto', 'p50') / find('serial', 'workflow', 'p50'), 1),
  ];
  const cost = [
    atLeast('spread-64: direct / plain-sql', times('spread-64', 'direct', 'plain-sql'), 2),
    atLeast(
      `spread-64: direct / ${ORIGINAL_PER_SECOND} messages/s of the original`,
      find('spread-64', 'direct', 'perSecond') / ORIGINAL_PER_SECOND,
      2,
    ),
    ...Object.entries(MAX_WORKFLOW_CPU).map(([load, limit]) => {
      const used = find(load, 'workflow', 'cpu.total') - find(load, 'workflow', 'cpu.load');
      return atMost(`${load}: CPU of workflow without the generator, ms`, used, limit);
    }),
  ];
  const targets = [
    ...auto,
    ...cost,
    atLeast('hot-256: workflow / plain-sql', times('hot-256', 'workflow', 'plain-sql'), 2),
    atLeast('hot-256: workflow / naive', times('hot-256', 'workflow', 'naive'), 10),
    atLeast('spread-64: workflow / naive', times('spread-64', 'workflow', 'naive'), 1.5),
    ...THROUGHPUT.filter((load) => load !== 'spread-64').map((load) =>
      atLeast(`${load}: direct / plain-sql`, times(load, 'direct', 'plain-sql'), 1),
    ),
    ...OPEN.map((load) =>
      atLeast(`${load}: p50 of plain-sql / direct`, find(load, 'plain-sql', 'p50') / find(load, 'direct', 'p50'), 1),
    ),
    atMost('serial: p50 of workflow, ms', find('serial', 'workflow', 'p50'), MAX_LONE_SEND_MS),
    ...growth,
    atMost('MB per cached conversation', find('memory', 'workflow', 'mbPerConversation'), MAX_MB_PER_CONVERSATION),
    ...deliveries,
    ...streams,
  ];
  return targets.filter(({ value }) => !Number.isNaN(value));
}
