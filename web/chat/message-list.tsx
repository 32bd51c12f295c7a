import type { JSX } from 'preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import type { ChatConversation } from '../../client/index.ts';
import { Icon } from '../parts/icon.tsx';
import { AloneHere } from './alone-here.tsx';
import type { ChatModel } from './chat-model.ts';
import { MessageRow } from './message-row.tsx';
import type { ConversationProps } from './props.ts';
import { timelineOf } from './timeline.ts';
import { dayOf } from './times.ts';

/** Pixels from the end within which a person counts as being there. */
const NEAR = 48;

/** The messages of a conversation. It stays at its end while new ones come, unless the person has scrolled back. */
export function MessageList({ model, conversation }: ConversationProps): JSX.Element {
  const messages = model.messages.value;
  const notices = model.notices.value.get(conversation.id);
  const rows = useMemo(() => timelineOf(messages ?? [], notices ?? []), [messages, notices]);
  const { ref, isAtEnd, toEnd, onScroll } = useEnd(rows[0]?.key, rows.at(-1)?.key, messages?.at(-1)?.isOwn === true);
  useSeen(model, conversation, ref, isAtEnd);
  const isEmpty = messages?.length === 0;
  return (
    <>
      <div class="messages" ref={ref} role="log" aria-label="Messages" tabIndex={0} onScroll={onScroll}>
        {messages === undefined && (
          <p class="row empty is-late" role="status">
            <span class="spinner" /> Loading messages …
          </p>
        )}
        {model.hasOlder.value && (
          <button type="button" class="button is-small older" onClick={() => void model.showOlder()}>
            Older messages
          </button>
        )}
        {isEmpty && <AloneHere model={model} conversation={conversation} />}
        <ol>
          {rows.map((row) => {
            switch (row.kind) {
              case 'day':
                return (
                  <li key={row.key} class="day">
                    {dayOf(row.at, Date.now())}
                  </li>
                );
              case 'notice':
                return (
                  <li
                    key={row.key}
                    class={`event-line notice ${row.notice.level === 'info' ? '' : `is-${row.notice.level}`}`}
                  >
                    {row.notice.text}
                  </li>
                );
              case 'message':
                return <MessageRow key={row.key} model={model} message={row.message} isFirst={row.isFirst} />;
            }
          })}
        </ol>
      </div>
      <div class="below">
        {!isAtEnd && (
          <button type="button" class="button is-small" onClick={toEnd}>
            <Icon name="down" />
            {conversation.unread > 0 ? `${conversation.unread} new` : 'To the newest'}
          </button>
        )}
      </div>
    </>
  );
}

interface End {
  readonly ref: { current: HTMLDivElement | null };
  readonly isAtEnd: boolean;
  readonly toEnd: () => void;
  readonly onScroll: () => void;
}

/** Keeps a list at its end, or where the person reads when older rows come before it. */
function useEnd(first: string | undefined, last: string | undefined, isLastOwn: boolean): End {
  const ref = useRef<HTMLDivElement>(null);
  const before = useRef<{ first: string | undefined; last: string | undefined; height: number }>(undefined);
  const stays = useRef(true);
  const [isAtEnd, setAtEnd] = useState(true);
  const toEnd = (): void => ref.current?.scrollTo({ top: ref.current.scrollHeight });
  useLayoutEffect(() => {
    const { current: list } = ref;
    if (list === null) return;
    const { first: oldFirst, last: oldLast, height = 0 } = before.current ?? {};
    const isNewOwn = isLastOwn && last !== oldLast;
    if (stays.current || isNewOwn) list.scrollTop = list.scrollHeight;
    else if (first !== oldFirst && last === oldLast) list.scrollTop += list.scrollHeight - height;
    before.current = { first, last, height: list.scrollHeight };
  });
  useEffect(() => {
    const { current: list } = ref;
    if (list === null) return undefined;
    // A keyboard comes, or the window changes.
    const watch = new ResizeObserver(() => {
      if (stays.current) list.scrollTop = list.scrollHeight;
    });
    watch.observe(list);
    return () => watch.disconnect();
  }, []);
  const onScroll = (): void => {
    const { current: list } = ref;
    if (list === null) return;
    stays.current = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    setAtEnd(stays.current);
  };
  return { ref, isAtEnd, toEnd, onScroll };
}

/** Tells the model that the person sees the newest message: the window is in front, its pane is shown, and the list is at its end. */
function useSeen(model: ChatModel, conversation: ChatConversation, ref: End['ref'], isAtEnd: boolean): void {
  const { connection } = model.state.value;
  const { unread } = conversation;
  useEffect(() => {
    const { current: list } = ref;
    if (list === null) return undefined;
    const look = (): void => {
      const isShown = document.visibilityState === 'visible' && document.hasFocus() && list.checkVisibility();
      if (isAtEnd && unread > 0 && isShown) model.seen();
    };
    look();
    // On a narrow screen the other pane hides it: then it has no size.
    const watch = new ResizeObserver(look);
    watch.observe(list);
    addEventListener('focus', look);
    document.addEventListener('visibilitychange', look);
    return () => {
      watch.disconnect();
      removeEventListener('focus', look);
      document.removeEventListener('visibilitychange', look);
    };
  }, [model, unread, ref, isAtEnd, connection]);
}
