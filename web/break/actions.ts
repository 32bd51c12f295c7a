import type { ActionName, ControlState, PartName } from '../control/index.ts';
import { clockTime } from '../life/view/clock.ts';

/** What a button does. */
export interface Breakage {
  readonly what: ActionName;
  readonly label: string;
  /** What it really does. */
  readonly does: string;
  /** What to look for. */
  readonly watch: string;
  /** The part that it needs. */
  readonly part?: PartName;
}

/** How long Temporal is stopped. */
export const TEMPORAL_STOP_MS = 20_000;

/** All that can be done to the stack, in the order of the buttons. */
export const BREAKAGES: readonly Breakage[] = [
  {
    what: 'kill-worker',
    label: 'Kill the worker',
    part: 'worker',
    does: 'The process that runs the workflows gets SIGKILL: it has no time to tidy up.',
    watch: 'Send a message at once. The API decides it directly, or the new worker goes on where the old one stopped.',
  },
  {
    what: 'stop-temporal',
    label: 'Stop Temporal for 20 s',
    part: 'temporal',
    does: 'Temporal answers nobody for 20 seconds.',
    watch:
      'Send messages: the API decides them itself, in the same transaction. Then they go through the workflow again.',
  },
  {
    what: 'kill-postgres',
    label: 'Kill Postgres',
    part: 'postgres',
    does: 'The database gets SIGKILL and recovers from its log.',
    watch: 'Send a message: it waits in this window, with its id, and is sent as soon as Postgres is back.',
  },
  {
    what: 'kill-api',
    label: 'Kill the API',
    part: 'api',
    does: 'The process that this page talks to gets SIGKILL, with all that it was doing.',
    watch: 'Send a message: the window tries again with the same id, so the message stands in the log once.',
  },
  {
    what: 'terminate-workflow',
    label: 'Terminate this workflow',
    part: 'temporal',
    does: 'The workflow of this conversation is ended at once, as an operator would.',
    watch: 'Send a message: it starts the workflow again, which reads all that it needs from Postgres.',
  },
];

/** The two buttons about the backup stand apart: one of them asks first. */
export const BACKUP: Record<'take' | 'restore', Breakage> = {
  take: {
    what: 'take-backup',
    label: 'Take a backup',
    part: 'postgres',
    does: 'A copy of the database as it is now.',
    watch: 'Send some messages, then restore it.',
  },
  restore: {
    what: 'restore-backup',
    label: 'Restore the backup',
    part: 'postgres',
    does: 'The database goes back to the backup: the service forgets all that came after it.',
    watch: 'Devices notice that the log went back, repair their group, and send again what the service has lost.',
  },
};

/** The button that cuts the network, and what it is called meanwhile. It needs no control server. */
export const CUT = { begin: 'Cut this window’s network', end: 'Connect this window again' } as const;

/** How a part is called. */
export const PART_WORDS: Readonly<Record<PartName, string>> = {
  postgres: 'Postgres',
  temporal: 'Temporal',
  worker: 'Worker',
  api: 'API',
};

/** What an action is called. */
export function labelOf(what: ActionName): string {
  const all = [...BREAKAGES, BACKUP.take, BACKUP.restore];
  return all.find((one) => one.what === what)?.label ?? what;
}

/**
 * Why a button does nothing now.
 * @returns `undefined`: it works
 */
export function whyNot(
  { what, part }: Breakage,
  state: ControlState | undefined,
  conversation: string | undefined,
): string | undefined {
  if (state === undefined) return 'The control server has not answered yet.';
  if (state.action !== null) return `First this ends: ${labelOf(state.action.what)}.`;
  if (what === 'terminate-workflow' && conversation === undefined) return 'Open a conversation first.';
  if (what === 'restore-backup' && state.backup === null) return 'There is no backup yet.';
  const found = state.parts.find(({ name }) => name === part);
  if (part === undefined || found === undefined) return undefined;
  if (found.state === 'external') return `${PART_WORDS[part]} was not started by npm start.`;
  return found.state === 'running' ? undefined : `${PART_WORDS[part]} does not run now.`;
}

/** "from 14:02:11", or that there is none. */
export function backupWords(backup: ControlState['backup']): string {
  return backup === null ? 'There is no backup yet.' : `The backup is from ${clockTime(backup.takenAt)}.`;
}
