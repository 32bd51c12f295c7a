import { otherBuild } from '../../harness/other-build.ts';
import type { Fault } from '../fault.ts';

/** Its runs and those of this build cannot replay one another's histories. */
export const EXTRA_TIMER = 'setTimeout(() => undefined, 3_600_000);';

export const twoBuilds: Fault = {
  name: 'two-builds',
  does: 'one worker runs a build whose workflow has an extra timer, and is rolled back',
  seconds: [15, 5],
  // Needs that a run which cannot replay fails, and does not block its conversation.
  onlyByName: true,
  inject: async ({ arena }) => {
    const [worker] = arena.workers;
    await worker?.deploy({ root: otherBuild(arena.folder, { workflow: EXTRA_TIMER }) });
    return { what: worker?.name ?? '', heal: () => worker?.deploy() };
  },
};
