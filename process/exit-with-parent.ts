export type ExitWithParentOptions = {
  /** @default process.env */
  env?: NodeJS.ProcessEnv;
  /** How long an orderly shutdown may take before the process ends itself. @default 15000 */
  graceMs?: number;
};

/**
 * Makes a process of the local stack end with its supervisor, even when that one was killed without a chance to say so: the
 * IPC channel between the two closes with it. Without `PARLEY_SUPERVISED=1` it does nothing.
 */
export function exitWithParent({ env = process.env, graceMs = 15_000 }: ExitWithParentOptions = {}): void {
  if (env.PARLEY_SUPERVISED !== '1' || process.send === undefined) return;
  process.once('disconnect', () => {
    // The same way out as for any other stop, so requests and activities in flight may finish.
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(1), graceMs).unref();
  });
  // A listener for the channel would keep the process alive after its own work is done.
  process.channel?.unref();
}
