import { documentOf, ProblemError } from '../api/problem.ts';
import type { Chat, ChatEvents } from '../chat/chat.ts';
import { ChatClosedError } from '../chat/closed.ts';
import { newId } from '../platform/bytes.ts';
import type { Call, Failure, TabEvent, TabTalk } from './tab-messages.ts';
import { CALLS } from './tab-messages.ts';

/** The events of a chat. */
export const EVENTS = [
  'state',
  'message',
  'cancelled',
  'log',
  'rejoined',
  'ended',
  'trouble',
] as const satisfies readonly (keyof ChatEvents)[];

/** Lets the other tabs use the chat of this one. @returns ends it */
export function lead(chat: Chat, channel: TabTalk): () => void {
  const leader = newId();
  const introduce = (): void => {
    const { user, device, state } = chat;
    channel.send({ kind: 'lead', leader, user, device, state });
  };
  const removers = EVENTS.map((name) =>
    chat.on(name, (what) => channel.send({ kind: 'event', leader, event: { name, what } as TabEvent })),
  );
  const stop = channel.on((message) => {
    if (message.kind === 'who') introduce();
    if (message.kind === 'typing') chat.typing(message.conversation);
    if (message.kind === 'call') {
      const { id, call, given } = message;
      // A tab with newer code may know a call that this one does not.
      if (!CALLS.includes(call)) {
        channel.send({
          kind: 'answer',
          id,
          failure: { message: `the tab that leads has older code, without ${call}` },
        });
        return;
      }
      callOf(
        chat,
        call,
      )(...given)
        .then(
          (result) => channel.send({ kind: 'answer', id, result }),
          (error: unknown) => {
            // The tab that asked asks the next one.
            if (!(error instanceof ChatClosedError)) channel.send({ kind: 'answer', id, failure: failureOf(error) });
          },
        )
        .catch(() => undefined); // nor can it be told by a channel that is closed
    }
  });
  introduce();
  return () => {
    stop();
    for (const remove of removers) remove();
  };
}

/** A call of a chat, without its types. */
export function callOf(chat: Chat, call: Call): (...given: readonly unknown[]) => Promise<unknown> {
  const act = (chat[call] as (...given: readonly unknown[]) => Promise<unknown>).bind(chat);
  // What another tab gives may be anything: also what throws at once is an answer.
  return async (...given) => act(...given);
}

function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  return error instanceof ProblemError ? { message, problem: documentOf(error) } : { message };
}
