import type { LifeEntry, LifeEvent, LifeHead, LifeOperation, LifePart, LifeWorkflow } from '../life-event.ts';
import type { Fact } from '../words/fact.ts';
import { factOf } from '../words/fact-words.ts';

/** The newest facts of the timeline that the page keeps. */
export const MOST_FACTS = 300;
/** The newest entries of the log that the page keeps. */
export const MOST_ENTRIES = 100;
/** The newest operations, for the picture of their ways. */
export const MOST_OPERATIONS = 30;

/** Whether the page hears of the life of the conversation. */
export type LifeConnection =
  /** No conversation is open. */
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'live' }
  /** It tries again. */
  | { readonly kind: 'away'; readonly reason: string }
  /** The token is no operator's, or there is none. */
  | { readonly kind: 'no-access'; readonly reason?: string }
  /** The service does not know the conversation, or not any more. */
  | { readonly kind: 'unknown' };

/** An operation, with its number in the order in which the page heard of it. */
export interface SeenOperation extends LifeOperation {
  readonly n: number;
}

/** The life of one conversation, as far as the page keeps it. */
export interface LifeState {
  readonly conversation: string | undefined;
  readonly connection: LifeConnection;
  readonly head: LifeHead | undefined;
  readonly workflow: LifeWorkflow | undefined;
  /** In the order of the log. */
  readonly entries: readonly LifeEntry[];
  /** The newest first. */
  readonly facts: readonly Fact[];
  /** The newest last. */
  readonly operations: readonly SeenOperation[];
  /** Operations that the page has heard of. */
  readonly heard: number;
  /** Parts that do not answer, and since when. */
  readonly troubles: readonly { readonly part: LifePart; readonly code: string; readonly at: number }[];
}

/** Before the first event. */
export function emptyLife(conversation?: string): LifeState {
  return {
    ...{ conversation, connection: { kind: conversation === undefined ? 'idle' : 'connecting' } },
    ...{ head: undefined, workflow: undefined, entries: [], facts: [], operations: [], heard: 0, troubles: [] },
  };
}

/** The state after the page began to hear of the life, or stopped. What parts do then, it does not know. */
export function withConnection(state: LifeState, connection: LifeConnection): LifeState {
  return { ...state, connection, troubles: [] };
}

/** The state after an event. Events that were told before change nothing. */
export function withEvent(state: LifeState, event: LifeEvent): LifeState {
  const facts = withFact(state.facts, factOf(event, state));
  const live: LifeState = { ...state, facts, connection: { kind: 'live' } };
  switch (event.type) {
    case 'head':
      return { ...live, head: event };
    case 'workflow':
      return { ...live, workflow: event };
    case 'entry':
      return { ...live, entries: withEntry(state.entries, event) };
    case 'operation': {
      if (facts === state.facts) return live;
      const operations = [...state.operations, { ...event, n: state.heard + 1 }].slice(-MOST_OPERATIONS);
      return { ...live, operations, heard: state.heard + 1 };
    }
    case 'trouble': {
      const { part, code, at } = event;
      return { ...live, troubles: [...state.troubles.filter((one) => one.part !== part), { part, code, at }] };
    }
    case 'recovered':
      return { ...live, troubles: state.troubles.filter(({ part }) => part !== event.part) };
    case 'log-restarted':
      return { ...live, entries: state.entries.filter(({ seq }) => seq <= event.lastSeq) };
    case 'history':
    case 'supervisor':
      return live;
  }
}

/** By time, the newest first. @returns the same facts, if the fact was told before, or would be the oldest of too many */
function withFact(facts: readonly Fact[], fact: Fact | undefined): readonly Fact[] {
  if (fact === undefined || facts.some(({ key }) => key === fact.key)) return facts;
  const place = facts.findIndex(({ at }) => at <= fact.at);
  if (place === -1 && facts.length === MOST_FACTS) return facts;
  const before = place === -1 ? facts : facts.slice(0, place);
  const after = place === -1 ? [] : facts.slice(place);
  return [...before, fact, ...after].slice(0, MOST_FACTS);
}

function withEntry(entries: readonly LifeEntry[], entry: LifeEntry): readonly LifeEntry[] {
  const others = entries.filter(({ seq }) => seq !== entry.seq);
  const place = others.findLastIndex(({ seq }) => seq < entry.seq) + 1;
  return [...others.slice(0, place), entry, ...others.slice(place)].slice(-MOST_ENTRIES);
}
