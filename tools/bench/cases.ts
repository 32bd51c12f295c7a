import pLimit from 'p-limit';
import { closedLoop, describe } from '../load/closed-loop.ts';
import { openLoop } from '../load/open-loop.ts';
import { below, makeRandom } from '../load/random.ts';
import { measureClaims } from './claims.ts';
import { measureCommits } from './commits.ts';
import type { BenchCase, CaseContext } from './case.ts';
import type { ContenderName } from './contender.ts';
import { measureFanOut } from './fan-out.ts';
import type { Measurement } from './measurement.ts';
import { makeCpuMeter, toMeasurement } from './measurement.ts';
import { OVERLOAD, measureOverload } from './overload.ts';
import { paired } from './paired.ts';
import { measureRacedCommits } from './raced-commits.ts';
import { CONVERSATIONS, GROUP_SIZES, type Messenger, SHORT_ENTRIES, STORED_ENTRIES } from './world.ts';

const OPEN_PER_SECOND = 100;
const PAGE = SHORT_ENTRIES;
/** Senders that send one message to each conversation before an open loop, so that it measures no cold starts. */
const TOUCHING = 16;

/** Cases that only Parley can run. The other contenders take only messages and bare commits. */
const PARLEY: readonly ContenderName[] = ['workflow', 'direct', 'auto'];

/** All cases except memory and streams, in the order of the report. */
export const CASES: readonly BenchCase[] = [
  closed('serial', 'one after another', 1, [CONVERSATIONS.serial]),
  closed('spread-16', '200 conversations, 16 senders', 16, CONVERSATIONS.spread),
  closed('spread-64', '200 conversations, 64 senders', 64, CONVERSATIONS.spread),
  closed('hot-64', 'one hot conversation, 64 senders', 64, [CONVERSATIONS.hot]),
  closed('hot-256', 'one hot conversation, 256 senders', 256, [CONVERSATIONS.hot]),
  open('open-200', '100 requests/s over 200 conversations', CONVERSATIONS.spread, true),
  open('open-1000', '100 requests/s over 1000 conversations', CONVERSATIONS.wide, false),
  {
    name: 'sizes',
    about: 'a send to 2, 100 and 10,000 members, in turns',
    isQuick: true,
    run: ({ messenger, ...context }: CaseContext): Promise<Measurement[]> =>
      paired(
        context,
        GROUP_SIZES.map((size) => ({
          load: `members-${size}`,
          run: () => messenger.send(CONVERSATIONS.bySize[size] ?? '', 0),
        })),
      ),
  },
  {
    name: 'stored',
    about: `an empty log, one of a page and one of ${STORED_ENTRIES} entries, in turns: sends and pages`,
    isQuick: true,
    run: ({ messenger, ...context }: CaseContext): Promise<Measurement[]> => {
      const { stored, short, empty } = CONVERSATIONS;
      return paired(context, [
        { load: 'send-empty', run: () => messenger.send(empty, 0) },
        { load: 'send-stored', run: () => messenger.send(stored, 0) },
        { load: 'page-short', run: () => messenger.page(short, 0, PAGE) },
        { load: 'page-last', run: () => messenger.page(stored, STORED_ENTRIES - PAGE, PAGE) },
        { load: 'page-middle', run: () => messenger.page(stored, STORED_ENTRIES / 2, PAGE) },
      ]);
    },
  },
  {
    name: 'raced-commits',
    about: '4 members commit to the same epoch, in 16 conversations at a time',
    isQuick: true,
    run: measureRacedCommits,
  },
  {
    name: 'fan-out',
    about: '50 members with open streams, 100 messages/s',
    isQuick: true,
    only: PARLEY,
    run: measureFanOut,
  },
  {
    name: 'commit-50',
    about: 'commits in a group of 50, with Welcome and GroupInfo and without, in turns',
    isQuick: true,
    only: PARLEY,
    run: measureCommits,
  },
  { name: 'overload', about: OVERLOAD, isQuick: false, only: PARLEY, run: measureOverload },
  {
    name: 'claims-100',
    about: "100 parallel claims of one user's key packages at two API processes",
    isQuick: true,
    // A claim is no operation of a conversation, so the execution path does not matter.
    only: ['direct'],
    run: measureClaims,
  },
];

function closed(name: string, about: string, senders: number, conversations: readonly string[]): BenchCase {
  return {
    name,
    about,
    isQuick: true,
    run: async ({ contender, messenger, warmUpMs, measureMs }) => {
      const random = makeRandom(1);
      const meter = makeCpuMeter(contender.pids);
      const result = await closedLoop({
        senders,
        warmUpMs,
        measureMs,
        ...meter,
        send: (sender) => messenger.send(conversations[below(random, conversations.length)] ?? '', sender),
      });
      return [toMeasurement(name, contender.name, result, meter.used())];
    },
  };
}

function open(name: string, about: string, conversations: readonly string[], isQuick: boolean): BenchCase {
  const touched = new Set<string>();
  return {
    name,
    about,
    isQuick,
    run: async ({ contender, messenger, warmUpMs, measureMs }) => {
      const failures = touched.has(contender.url) ? [] : await touch(messenger, conversations);
      touched.add(contender.url);
      const random = makeRandom(2);
      const meter = makeCpuMeter(contender.pids);
      const result = await openLoop({
        perSecond: OPEN_PER_SECOND,
        warmUpMs,
        measureMs,
        ...meter,
        // Users 0 to 7 are members everywhere.
        send: (request) => messenger.send(conversations[below(random, conversations.length)] ?? '', request % 8),
      });
      const all = { ...result, failures: [...failures, ...result.failures] };
      return [toMeasurement(name, contender.name, all, meter.used())];
    },
  };
}

/** Sends one message to each conversation. @returns the failures */
export async function touch(messenger: Messenger, conversations: readonly string[]): Promise<string[]> {
  const failures: string[] = [];
  await pLimit(TOUCHING).map(conversations, (conversation) =>
    messenger.send(conversation, 0).catch((error: unknown) => failures.push(describe(error))),
  );
  return failures;
}
