import { LRUCache } from 'lru-cache';
import type { Schemas } from '../api.ts';
import { type CommandHost, conversationId, withCommon } from '../command.ts';
import { bytes, counted, duration } from '../output/format.ts';
import type { CommonOptions, Session } from '../session.ts';

type Fact = Schemas['LifeEvent'];

/** Far more than a new stream tells of the past. */
const MOST_TOLD_AGAIN = 1000;

/** `parley life ID` */
export function lifeCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('life')
      .argument('<id>', 'the conversation', conversationId)
      .summary('follow one conversation as it happens')
      .description(
        'Prints a line for each fact, until Ctrl-C: operations and the way that each took, entries, the history of the run, and what the supervisor does. The newest facts come first. When the stream ends, it is opened again. With --json each line is the fact as JSON.',
      ),
  ).action((id: string, options: CommonOptions) =>
    run(options, (session) => print(session, id, options.json === true)),
  );
}

async function print(session: Session, id: string, json: boolean): Promise<void> {
  const isNew = makeIsNew();
  for await (const { data } of session.follow(`/v1/admin/conversations/${encodeURIComponent(id)}/life`)) {
    // Other events only end the stream, which is opened again.
    if (!isFact(data) || !isNew(data)) continue;
    if (json) session.write(session.line(data));
    else session.say(lineOf(data));
  }
}

/** A stream that is opened again tells the newest facts again. @returns whether a fact was not told before */
function makeIsNew(): (fact: Fact) => boolean {
  const told = new LRUCache<string, true>({ max: MOST_TOLD_AGAIN });
  /** These tell how something is, whenever the service looked. */
  const last = new Map<Fact['type'], string>();
  return (fact) => {
    if (fact.type === 'log-restarted') told.clear();
    const isState = fact.type === 'head' || fact.type === 'workflow';
    const text = JSON.stringify(isState ? { ...fact, at: 0 } : fact);
    const isKnown = isState ? last.get(fact.type) === text : told.has(text);
    if (isState) last.set(fact.type, text);
    else told.set(text, true);
    return !isKnown;
  };
}

function isFact(data: unknown): data is Fact {
  return typeof data === 'object' && data !== null && 'type' in data;
}

/** A fact as people read it. */
export function lineOf(fact: Fact): string {
  return `${new Date(fact.at).toISOString()} ${fact.type.padEnd(13)} ${words(fact).join(' · ')}`;
}

function words(fact: Fact): string[] {
  switch (fact.type) {
    case 'head': {
      const { state, epoch, lastSeq, members, mailbox, path } = fact;
      const now = path.mode === path.now ? path.now : `${path.mode}, now ${path.now}`;
      return [
        state,
        `epoch ${epoch}`,
        `seq ${lastSeq}`,
        counted(members, 'member'),
        `${mailbox.waiting} waiting, ${mailbox.inFlight} in flight`,
        `path ${now}${path.reason === undefined ? '' : ` (${path.reason})`}`,
      ];
    }
    case 'entry':
      return [
        `${fact.seq} ${fact.kind}`,
        `epoch ${fact.epoch}`,
        fact.bytes === undefined ? (fact.deleted ?? '') : bytes(fact.bytes),
        ...(fact.chain === undefined ? [] : [`chain ${fact.chain.slice(0, 12)}`]),
      ];
    case 'operation': {
      const seq = fact.seq === undefined ? '' : ` as ${fact.seq}`;
      const way = fact.path === undefined ? 'not handed over' : `${fact.path} (${fact.reason ?? ''})`;
      return [`${fact.kind} ${fact.operation}`, way, `${fact.outcome}${seq}`, duration(fact.ms)];
    }
    case 'workflow':
      return [
        fact.status,
        ...(fact.runId === undefined ? [] : [`run ${fact.runId}`]),
        ...(fact.historyLength === undefined ? [] : [counted(fact.historyLength, 'event')]),
        ...(fact.continuedFrom === undefined ? [] : [`continues ${fact.continuedFrom}`]),
        ...(fact.webUi === undefined ? [] : [fact.webUi]),
      ];
    case 'history':
      return [
        `${fact.eventId} ${fact.kind}`,
        ...(fact.name === undefined ? [] : [fact.name]),
        ...Object.entries(fact.facts).map(([name, value]) => `${name} ${String(value)}`),
      ];
    case 'supervisor':
      return [fact.action, fact.reason, ...(fact.outcome === undefined ? [] : [fact.outcome])];
    case 'trouble':
      return [fact.part, fact.code];
    case 'recovered':
      return [fact.part];
    case 'log-restarted':
      return [`the log is another one, up to ${fact.lastSeq}`];
  }
}
