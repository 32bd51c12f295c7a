/** The parts of the stack whose state is told, in the order in which they start. */
export const WATCHED_PARTS = ['postgres', 'temporal', 'worker', 'api'] as const;
export type WatchedPart = (typeof WATCHED_PARTS)[number];

/** State of one part. */
export type PartStatus = {
  name: WatchedPart;
  /** `paused` = its process is stopped by a signal and not dead. `external` = this stack does not run it. */
  state: 'running' | 'paused' | 'down' | 'external';
  /** Since when it is in this state: milliseconds since 1970. */
  since: number;
  /** How often it was ready again after an end. */
  restarts: number;
};

/** What is known of the parts of a stack. Parts that nobody watches are ignored. */
export type PartStates = {
  list: () => readonly PartStatus[];
  get: (part: WatchedPart) => PartStatus;
  set: (part: string, state: PartStatus['state']) => void;
  /** Somebody is about to end this part on purpose: its end is no failure. */
  expectEnd: (part: WatchedPart) => void;
  /** Whether the end that has just come was on purpose. Asked once for each end. */
  wasExpected: (part: string) => boolean;
  /** Calls at each change. @returns ends it */
  onChange: (listener: () => void) => () => void;
};

/** Each part is down until somebody says that it runs. */
export function makePartStates(): PartStates {
  const states = new Map<string, PartStatus>(
    WATCHED_PARTS.map((name) => [name, { name, state: 'down', since: Date.now(), restarts: 0 }]),
  );
  const started = new Set<string>();
  const expected = new Set<string>();
  const listeners = new Set<() => void>();
  return {
    list: () => [...states.values()],
    get: (part) => {
      const status = states.get(part);
      if (status === undefined) throw new Error(`${part} is no part`);
      return status;
    },
    set: (part, state) => {
      const before = states.get(part);
      if (before === undefined || before.state === state) return;
      const isRestart = state === 'running' && before.state === 'down' && started.has(part);
      if (state === 'running') started.add(part);
      states.set(part, { ...before, state, since: Date.now(), restarts: before.restarts + Number(isRestart) });
      for (const listener of listeners) listener();
    },
    expectEnd: (part) => void expected.add(part),
    wasExpected: (part) => expected.delete(part),
    onChange: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
