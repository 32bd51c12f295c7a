import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { ChatMessage } from '../../client/index.ts';
import { Avatar } from '../parts/avatar.tsx';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import type { IconName } from '../parts/icon.tsx';
import { Icon } from '../parts/icon.tsx';
import type { MenuItem } from '../parts/menu.tsx';
import { Menu } from '../parts/menu.tsx';
import { ProblemLink } from '../parts/problem.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { useAct } from '../parts/use-act.ts';
import type { ChatModel } from './chat-model.ts';
import { wordsOfProblem } from './problem-words.ts';
import { isOnlyEmoji } from './timeline.ts';
import { timeOf } from './times.ts';

export interface MessageRowProps {
  readonly model: ChatModel;
  readonly message: ChatMessage;
  readonly isFirst: boolean;
}

const STATES: Readonly<Record<ChatMessage['state']['kind'], { readonly icon: IconName; readonly words: string }>> = {
  waiting: { icon: 'clock', words: 'Waiting to be sent' },
  sent: { icon: 'check', words: 'The service has it' },
  seen: { icon: 'checks', words: 'In the log' },
  refused: { icon: 'alert', words: 'Not sent' },
  lost: { icon: 'again', words: 'Lost by the service. Its sender sends it again' },
};

/** One message. */
export function MessageRow({ model, message, isFirst }: MessageRowProps): JSX.Element {
  const { user } = model.session;
  const { sender, text, at, state, isDeleted } = message;
  const isMine = sender === user;
  const classes = ['message', isMine ? 'is-own' : '', isFirst ? 'is-first' : ''].join(' ');
  const isLarge = !isDeleted && isOnlyEmoji(text);
  const menu = <Actions model={model} message={message} />;
  return (
    <li class={classes}>
      {isMine ? menu : isFirst ? <Avatar user={sender} isSmall /> : <span />}
      <div class={isLarge ? 'bubble is-emoji' : 'bubble'}>
        {isFirst && !isMine && (
          <bdi class="sender cut" title={sender}>
            {sender}
          </bdi>
        )}
        {!isFirst || isMine ? <span class="hidden-text">{isMine ? 'You' : sender}: </span> : null}
        {isDeleted ? (
          <span class="text is-gone">Deleted for everybody</span>
        ) : (
          <div class="text" dir="auto">
            {text}
          </div>
        )}
        <Meta isMine={isMine} state={state} at={at} />
      </div>
      {isMine ? null : menu}
      {state.kind === 'refused' && <Refusal model={model} message={message} problem={state.problem} />}
    </li>
  );
}

function Meta({ isMine, state, at }: Pick<ChatMessage, 'state' | 'at'> & { readonly isMine: boolean }): JSX.Element {
  const { icon, words } = STATES[state.kind];
  const isSpecial = state.kind === 'lost' || state.kind === 'refused';
  const place = 'seq' in state ? `, entry ${state.seq}` : '';
  return (
    <span class={isSpecial ? 'meta is-lost' : 'meta'} title={`${words}${place}`}>
      <time dateTime={new Date(at).toISOString()}>{timeOf(at)}</time>
      {(isMine || isSpecial) && (
        <>
          <Icon name={icon} />
          <span class="hidden-text">{words}</span>
        </>
      )}
    </span>
  );
}

/** What can be done with a message. */
function Actions({ model, message }: Pick<MessageRowProps, 'model' | 'message'>): JSX.Element {
  const [isDeleting, setDeleting] = useState(false);
  const { chat } = model.session;
  const { conversation, id, state, isOwn, isDeleted, text, sender } = message;
  const { details } = model;
  const isAdmin = details.value?.role === 'admin' && details.value.policy.whoMayDelete !== 'nobody';
  const items: MenuItem[] = [];
  const run = (task: () => Promise<unknown>): void => model.attempt(task);
  if (!isDeleted)
    items.push({ label: 'Copy', icon: 'copy', onChoose: () => run(() => navigator.clipboard.writeText(text)) });
  if (state.kind === 'seen' && sender !== model.session.user)
    items.push({
      label: 'Mark as unread from here',
      icon: 'unread',
      onChoose: () => run(() => model.markUnread(conversation, id)),
    });
  if (state.kind === 'waiting')
    items.push({
      label: 'Do not send',
      icon: 'close',
      isDanger: true,
      onChoose: () => run(() => chat.cancel(conversation, id)),
    });
  if (state.kind === 'seen' && !isDeleted && (isOwn || isAdmin))
    items.push({ label: 'Delete for everybody', icon: 'trash', isDanger: true, onChoose: () => setDeleting(true) });
  if (items.length === 0) return <span />;
  return (
    <span>
      <Menu label={`What to do with the message of ${timeOf(message.at)}`} items={items} />
      {isDeleting && (
        <Sheet title="Delete this message?" onClose={() => setDeleting(false)}>
          <p>
            The service forgets it, and the devices of all people remove it. It cannot be undone, and it cannot take
            back what somebody has read.
          </p>
          <div class="row">
            <ConfirmButton
              label="Delete for everybody"
              confirm="Really delete"
              onConfirm={async () => {
                await chat.delete(conversation, id);
                setDeleting(false);
              }}
            />
          </div>
        </Sheet>
      )}
    </span>
  );
}

function Refusal({
  model,
  message,
  problem,
}: Pick<MessageRowProps, 'model' | 'message'> & {
  readonly problem: Parameters<typeof wordsOfProblem>[0];
}): JSX.Element {
  const { isBusy, problem: trouble, act } = useAct();
  const { conversation, id } = message;
  const words = trouble ?? wordsOfProblem(problem);
  return (
    <div class="refusal notice is-danger">
      <div>
        Not sent. {words.text} <ProblemLink code={words.code} />
        <div class="row">
          <button
            type="button"
            class="button is-small"
            aria-disabled={isBusy}
            onClick={() => void act(() => model.session.chat.retry(conversation, id))}
          >
            Try again
          </button>
          <button
            type="button"
            class="button is-small is-quiet"
            aria-disabled={isBusy}
            onClick={() => void act(() => model.session.chat.cancel(conversation, id))}
          >
            Drop it
          </button>
        </div>
      </div>
    </div>
  );
}
