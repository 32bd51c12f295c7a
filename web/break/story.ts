import type { ActionName, PartChange, StackView } from '../control/index.ts';
import type { Fact } from '../life/words/fact.ts';
import { PART_WORDS } from './actions.ts';

/** One line of what happened since something was broken. */
export interface StoryLine {
  readonly at: number;
  readonly text: string;
  readonly tone: Fact['tone'];
}

/** The newest lines that are shown. */
const MOST_LINES = 12;

/**
 * What happened since a moment: parts that went and came, troubles, and the first operations of each way. Only what was really seen.
 * @param facts of the timeline, the newest first
 */
export function storyOf(since: number, { changes }: StackView, facts: readonly Fact[]): StoryLine[] {
  const parts = changes.filter(({ at }) => at >= since).map(partLine);
  const ways = new Set<string>();
  const told = facts
    .filter(({ at }) => at >= since)
    .toReversed()
    .filter((fact) => {
      if (fact.kind === 'care') return true;
      if (fact.kind === 'workflow') return fact.tone === 'bad' || fact.key.startsWith('run:');
      if (fact.kind !== 'operation' || fact.isMinor === true || fact.tone === 'plain') return false;
      // One of each way and outcome is enough.
      const way = fact.details
        .filter(([name]) => name === 'Way' || name === 'Why this way' || name === 'Outcome')
        .map(([, value]) => value)
        .join(' ');
      return ways.size < ways.add(way).size;
    })
    .map(({ at, text, tone }) => ({ at, text, tone }));
  return [...parts, ...told].sort((one, other) => one.at - other.at).slice(-MOST_LINES);
}

function partLine({ at, part, state, restarts }: PartChange): StoryLine {
  const name = PART_WORDS[part];
  switch (state) {
    case 'down':
      return { at, text: `${name} is down`, tone: 'bad' };
    case 'paused':
      return { at, text: `${name} is stopped: it answers nobody`, tone: 'bad' };
    case 'running':
      return {
        at,
        text: restarts === 0 ? `${name} runs again` : `${name} runs again (start ${restarts + 1})`,
        tone: 'good',
      };
    case 'external':
      return { at, text: `${name} is run by another program`, tone: 'plain' };
  }
}

/** How long a stop of Temporal still lasts, in seconds; `undefined` = the action has no fixed end. */
export function secondsLeft(
  action: { readonly what: ActionName; readonly since: number } | null | undefined,
  now: number,
  lengthMs: number,
): number | undefined {
  if (action?.what !== 'stop-temporal') return undefined;
  return Math.max(0, Math.ceil((action.since + lengthMs - now) / 1000));
}
