/** Runs a task again for every request; requests that come while it runs are served by one more run after it. */
export interface Restarts {
  readonly request: () => void;
  /** Ends after the run that is under way; none begins any more. */
  readonly stop: () => Promise<void>;
}

/** @param run must not reject */
export function makeRestarts(run: () => Promise<void>): Restarts {
  let isWanted = false;
  let isStopped = false;
  let running: Promise<void> | undefined;
  const work = async (): Promise<void> => {
    while (isWanted && !isStopped) {
      isWanted = false;
      await run();
    }
    running = undefined;
  };
  return {
    request: () => {
      isWanted = true;
      if (!isStopped) running ??= work();
    },
    stop: async () => {
      isStopped = true;
      await running;
    },
  };
}
