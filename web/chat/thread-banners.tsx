import type { JSX } from 'preact';
import type { ChatConversation } from '../../client/index.ts';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAct } from '../parts/use-act.ts';
import { shortKey } from './fingerprint.ts';
import type { ChatPaneProps, ConversationProps } from './props.ts';

/** What is special about a conversation now: a repair, a removal, a successor, and who asks to join. */
export function ThreadBanners({ model, conversation, onShow }: ChatPaneProps & ConversationProps): JSX.Element {
  const { state, successor, requests } = conversation;
  return (
    <div class="banners" aria-live="polite">
      {state === 'removed' && (
        <p class="notice">You are not in this conversation any more. What you have read stays here.</p>
      )}
      {state === 'repairing' && (
        <p class="notice is-warn">
          <span class="spinner" />
          The service was restored to an older state. Your device repairs the conversation; what you write is sent after
          that.
        </p>
      )}
      {successor !== undefined && (
        <p class="notice is-warn">
          <span class="grow">Another conversation replaced this one. What waits here is sent there.</span>
          <button type="button" class="button is-small" onClick={() => onShow(successor)}>
            Open it
          </button>
        </p>
      )}
      {requests.map((request) => (
        <Request key={request.ref} model={model} conversation={conversation} request={request} />
      ))}
    </div>
  );
}

interface RequestProps extends ConversationProps {
  readonly request: ChatConversation['requests'][number];
}

function Request({ model, conversation, request }: RequestProps): JSX.Element {
  const { isBusy, problem, act } = useAct();
  const { ref, user, device } = request;
  return (
    <div class="notice">
      <Icon name="people" />
      <div class="grow">
        <bdi>{user}</bdi> asks to join, with the device <code>{shortKey(device)}</code>.
        {problem !== undefined && <Problem words={problem} />}
      </div>
      <button
        type="button"
        class="button is-small is-main"
        aria-disabled={isBusy}
        onClick={() => void act(() => model.session.chat.admit(conversation.id, ref))}
      >
        {isBusy && <span class="spinner is-late" />}
        Let in<span class="hidden-text"> {user}</span>
      </button>
    </div>
  );
}
