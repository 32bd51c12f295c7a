import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { useKeptFocus } from '../parts/use-kept-focus.ts';
import { openConversation } from '../shell/session.ts';
import { ConversationList } from './conversation-list.tsx';
import { JoiningThread } from './joining-thread.tsx';
import { NewConversation } from './new-conversation.tsx';
import { NoThread } from './no-thread.tsx';
import type { ChatPaneProps } from './props.ts';
import { Thread } from './thread.tsx';

/** The left pane: the conversations of a person, and the one that is open. */
export function ChatPane({ model, onShow }: ChatPaneProps): JSX.Element {
  const [isNew, setNew] = useState(false);
  const open = openConversation.value;
  const conversation = model.current.value;
  const thread = useRef<HTMLElement>(null);
  useKeptFocus(thread, (section) => section.querySelector<HTMLElement>('[role=log]'));
  const start = (): void => setNew(true);
  return (
    <div class="chat-pane" data-view={open === undefined ? 'list' : 'thread'}>
      <ConversationList model={model} onShow={onShow} onNew={start} />
      <section ref={thread} class="thread" id="messages" tabIndex={-1} aria-label="Conversation">
        {open === undefined ? (
          <NoThread model={model} onNew={start} />
        ) : conversation === undefined ? (
          <JoiningThread model={model} conversation={open} onBack={() => onShow(undefined)} />
        ) : (
          <Thread key={open} model={model} conversation={conversation} onShow={onShow} />
        )}
      </section>
      {isNew && (
        <NewConversation
          model={model}
          onClose={() => setNew(false)}
          onMade={(id) => {
            setNew(false);
            onShow(id);
          }}
        />
      )}
    </div>
  );
}
