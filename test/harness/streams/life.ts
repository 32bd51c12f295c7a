import type { LifeEvent } from '../../../client/index.ts';
import { type EventStream, openLifeStream } from '../../../tools/harness/event-stream.ts';
import { tryUntil } from '../../../tools/harness/wait-until.ts';

type Of<T extends LifeEvent['type']> = Extract<LifeEvent, { readonly type: T }>;

/** A stream of facts, for tests. Each event was held against the contract when it came. */
export interface LifeReader extends EventStream {
  readonly all: () => readonly LifeEvent[];
  readonly of: <T extends LifeEvent['type']>(type: T) => readonly Of<T>[];
  /** Waits for a fact. @returns the first one that fits */
  readonly until: <T extends LifeEvent['type']>(
    type: T,
    what: string,
    fits?: (one: Of<T>) => boolean,
  ) => Promise<Of<T>>;
}

export async function readLife(url: string, conversation: string, token: string): Promise<LifeReader> {
  const stream = await openLifeStream(url, conversation, token);
  const all = (): LifeEvent[] =>
    stream.events.map(({ data }) => JSON.parse(data) as LifeEvent).filter((one) => 'type' in one);
  const of = <T extends LifeEvent['type']>(type: T): Of<T>[] => all().filter((one): one is Of<T> => one.type === type);
  return {
    ...stream,
    all,
    of,
    until: async (type, what, fits = () => true) => {
      try {
        return await tryUntil(() => Promise.resolve(firstOf(of(type).filter(fits))), { what });
      } catch (cause) {
        throw new Error(`${what}: in vain. The last facts: ${JSON.stringify(all().slice(-12))}`, { cause });
      }
    },
  };
}

function firstOf<T>([first]: readonly T[]): T {
  if (first === undefined) throw new Error('There is none yet');
  return first;
}
