import type { ChatConversation, LogEvent } from '../../client/index.ts';

/** Something that happened in a conversation and is no message. Only this window has it. */
export interface Notice {
  readonly id: string;
  readonly at: number;
  readonly level: 'info' | 'warn' | 'danger';
  readonly text: string;
}

type Words = Pick<Notice, 'level' | 'text'>;

/** What a device found out about the log, for people. */
export function logWords(event: LogEvent): Words {
  switch (event.type) {
    case 'log-altered':
      return {
        level: 'danger',
        text: `The service gave a changed log: entry ${event.seq} does not follow from what came before it. This device reads no further.`,
      };
    case 'fork-suspected':
      return {
        level: 'danger',
        text: `${event.user} has read another log than you (message ${event.seq}). Compare the fingerprints: the service may show you different conversations.`,
      };
    case 'stale-branch':
      return {
        level: 'info',
        text: `${event.user} wrote message ${event.seq} before they knew that the service had been restored.`,
      };
    case 'log-restarted':
      return {
        level: 'warn',
        text:
          `The service was restored to an older state, after entry ${event.agreed}. ` +
          (event.messages === 0
            ? 'No message was lost.'
            : `${countOf(event.messages, 'message is', 'messages are')} sent again by whoever wrote ${event.messages === 1 ? 'it' : 'them'}.`) +
          (event.isDead ? ' This device joins the group again.' : ''),
      };
    case 'message-found':
      return { level: 'info', text: `A lost message is in the log again, as entry ${event.seq}.` };
  }
}

const REJOIN_REASONS = new Map([
  ['requested', 'This device has joined the group.'],
  ['unprocessable-entry', 'This device could not follow a change of the group, and joined it again.'],
  ['log-restarted', 'The service had lost a change of the group. This device joined it again.'],
  ['history-truncated', 'This device was away for longer than the service keeps messages, and joined the group again.'],
  ['welcome-refused', 'The invitation could not be used. This device joined the group by itself.'],
  ['key-package-unknown', 'The invitation was for keys that this device does not have. It joined the group by itself.'],
]);

/** Why this device joined a group by external commit. */
export function rejoinWords(reason: string): Words {
  return { level: 'info', text: REJOIN_REASONS.get(reason) ?? `This device joined the group again (${reason}).` };
}

/** Who came and who went between two states of a conversation. */
export function memberWords(before: ChatConversation, now: ChatConversation): Words[] {
  if (before.epoch === now.epoch || before.state !== 'joined' || now.state !== 'joined') return [];
  const [old, present] = [before, now].map(({ members }) => new Set(members.map(({ user }) => user)));
  const words = (users: readonly string[], what: string): Words[] =>
    users.map((user) => ({ level: 'info', text: `${user} ${what}` }));
  return [
    ...words(
      [...(present ?? [])].filter((user) => old?.has(user) !== true),
      'is in the conversation now.',
    ),
    ...words(
      [...(old ?? [])].filter((user) => present?.has(user) !== true),
      'is not in the conversation any more.',
    ),
  ];
}

function countOf(count: number, one: string, many: string): string {
  return `${count} ${count === 1 ? one : many}`;
}
