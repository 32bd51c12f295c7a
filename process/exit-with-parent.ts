export type ExitWithParentOptions = {
  /** @default process.env */
  env?: NodeJS.ProcessEnv;
  /** Milliseconds for an orderly shutdown. After that the process exits at once. @default 15000 */
  graceMs?: number;
};

/**
 * Stops a process of `npm start` when its supervisor ends. This works also after SIGKILL of the supervisor, because the
 * IPC channel between the two processes closes. Without `PARLEY_SUPERVISED=1` this function does nothing.
 */
export function exitWithParent({ env = process.env, graceMs = 15_000 }: ExitWithParentOptions = {}): void {
  if (env.PARLEY_SUPERVISED !== '1' || process.send === undefined) return;
  process.once('disconnect', () => {
    // SIGTERM starts the normal shutdown, so running requests and activities can finish.
    process.kill(process.pid, 'SIGTERM');
    setTimeout(() => process.exit(1), graceMs).unref();
  });
  // Without unref, the open channel would keep the process alive after its own work is done.
  process.channel?.unref();
}
