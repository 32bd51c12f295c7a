import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Avatar } from '../parts/avatar.tsx';
import { Icon } from '../parts/icon.tsx';
import { Composer } from './composer.tsx';
import { ConversationSheet } from './conversation-sheet.tsx';
import { MessageList } from './message-list.tsx';
import { titleOf } from './names.ts';
import type { ChatPaneProps, ConversationProps } from './props.ts';
import { ThreadBanners } from './thread-banners.tsx';
import { daysWords } from './times.ts';

/** The conversation that is open. */
export function Thread({ model, conversation, onShow }: ChatPaneProps & ConversationProps): JSX.Element {
  const [hasSheet, setSheet] = useState(false);
  const { user } = model.session;
  const users = conversation.members.map((one) => one.user);
  return (
    <>
      <header>
        <button type="button" class="icon-button back" aria-label="Back to the list" onClick={() => onShow(undefined)}>
          <Icon name="back" />
        </button>
        <Avatar user={users.find((one) => one !== user) ?? user} />
        <div class="grow">
          <h2 class="cut">
            <bdi>{titleOf(users, user)}</bdi>
          </h2>
          <p class="hint cut">
            <Summary model={model} conversation={conversation} />
          </p>
        </div>
        <button
          type="button"
          class="icon-button"
          aria-label="People, safety and rules"
          title="People, safety and rules"
          onClick={() => setSheet(true)}
        >
          <Icon name="people" />
        </button>
      </header>
      <ThreadBanners model={model} conversation={conversation} onShow={onShow} />
      <MessageList model={model} conversation={conversation} />
      <Typing typing={conversation.typing} />
      <Composer model={model} conversation={conversation} />
      {hasSheet && <ConversationSheet model={model} conversation={conversation} onClose={() => setSheet(false)} />}
    </>
  );
}

function Summary({ model, conversation: { members } }: ConversationProps): JSX.Element {
  const days = model.details.value?.policy.retentionDays;
  const devices = members.reduce((sum, one) => sum + one.devices.length, 0);
  return (
    <>
      {members.length === 1 ? '1 person' : `${members.length} people`},{' '}
      {devices === 1 ? '1 device' : `${devices} devices`}
      {days !== undefined && ` · the service keeps messages for ${daysWords(days)}`}
    </>
  );
}

function Typing({ typing }: { readonly typing: readonly string[] }): JSX.Element {
  const [first, second] = typing;
  return (
    <p class="typing cut">
      {first !== undefined && (
        <>
          <bdi>{first}</bdi>
          {second === undefined ? ' is typing …' : typing.length === 2 ? ' and ' : ', '}
          {second !== undefined && (
            <>
              <bdi>{second}</bdi>
              {typing.length > 2 ? ' and others are typing …' : ' are typing …'}
            </>
          )}
        </>
      )}
    </p>
  );
}
