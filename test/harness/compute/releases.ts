import { BroadcastChannel } from 'node:worker_threads';

/** The channel on which tests release jobs that hold. */
export const RELEASES = 'releases';

/** Lets the job `hold <id>` go on, in whichever thread it is. */
export function release(id: string): void {
  const channel = new BroadcastChannel(RELEASES);
  channel.postMessage(id);
  channel.close();
}
