import type { JSX } from 'preact';
import type { ChatConversation } from '../../client/index.ts';
import { Avatar } from '../parts/avatar.tsx';
import { Icon } from '../parts/icon.tsx';
import { UnreadBadge } from '../parts/unread-badge.tsx';
import { openConversation } from '../shell/session.ts';
import { addressOf } from '../shell/window-identity.ts';
import type { ChatPaneProps } from './props.ts';
import { titleOf } from './names.ts';
import { shortDateOf } from './times.ts';

export interface ConversationListProps extends ChatPaneProps {
  readonly onNew: () => void;
}

/** All conversations, the one with the newest message first. */
export function ConversationList({ model, onShow, onNew }: ConversationListProps): JSX.Element {
  const { conversations, connection } = model.state.value;
  return (
    <nav class="conversations" aria-labelledby="conversations">
      <header>
        <h2 id="conversations">Conversations</h2>
        <button
          type="button"
          class="icon-button"
          aria-label="New conversation"
          title="New conversation"
          onClick={onNew}
        >
          <Icon name="add" />
        </button>
      </header>
      {conversations.length === 0 ? (
        <div class="empty is-late">
          {connection === 'connecting' ? (
            <p class="row" role="status">
              <span class="spinner" /> Loading …
            </p>
          ) : (
            <>
              <Icon name="chat" />
              <p class="hint">No conversations yet.</p>
              <button type="button" class="button" onClick={onNew}>
                <Icon name="add" />
                New conversation
              </button>
            </>
          )}
        </div>
      ) : (
        <ul class="list">
          {conversations.map((conversation) => (
            <li key={conversation.id}>
              <Item model={model} conversation={conversation} onShow={onShow} />
            </li>
          ))}
        </ul>
      )}
    </nav>
  );
}

function Item({
  model,
  conversation,
  onShow,
}: ChatPaneProps & { readonly conversation: ChatConversation }): JSX.Element {
  const { user, device } = model.session;
  const { id, members, unread, last } = conversation;
  const users = members.map((one) => one.user);
  const other = users.find((one) => one !== user) ?? user;
  return (
    <a
      class={unread > 0 ? 'conversation is-unread' : 'conversation'}
      href={addressOf({ user, device, conversation: id })}
      aria-current={openConversation.value === id ? 'page' : undefined}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return;
        event.preventDefault();
        onShow(id);
      }}
    >
      <Avatar user={other} />
      <span class="lines">
        <span class="line">
          <bdi class="name cut grow">{titleOf(users, user)}</bdi>
          {last !== undefined && <time class="when">{shortDateOf(last.at, Date.now())}</time>}
        </span>
        <span class="line">
          <span class="last cut grow">
            <Preview conversation={conversation} user={user} />
          </span>
          <UnreadBadge unread={unread} />
        </span>
      </span>
    </a>
  );
}

function Preview({
  conversation,
  user,
}: {
  readonly conversation: ChatConversation;
  readonly user: string;
}): JSX.Element {
  const { typing, last, state, requests } = conversation;
  if (state === 'removed') return <>You are not in it any more</>;
  if (requests.length > 0)
    return (
      <>
        <bdi>{requests[0]?.user}</bdi> asks to join
      </>
    );
  if (typing.length > 0)
    return (
      <>
        <bdi>{typing[0]}</bdi> is typing …
      </>
    );
  if (last === undefined) return <>No messages yet</>;
  return (
    <>
      {last.sender === user ? 'You: ' : ''}
      <bdi>{last.isDeleted ? 'deleted' : last.text}</bdi>
    </>
  );
}
