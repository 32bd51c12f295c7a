import type { JSX } from 'preact';
import { CopyButton } from '../parts/copy-button.tsx';
import { Icon } from '../parts/icon.tsx';
import { addressOf } from '../shell/window-identity.ts';
import type { ConversationProps } from './props.ts';

/** The invitation link of a conversation. */
export const invitationOf = (conversation: string): string =>
  new URL(addressOf({ join: conversation }), location.origin).href;

/** What stands in a conversation without messages: how somebody else comes in. */
export function AloneHere({ model, conversation }: ConversationProps): JSX.Element {
  const isAlone = conversation.members.length === 1;
  const rule = model.details.value?.policy.externalJoin;
  if (!isAlone)
    return (
      <div class="empty">
        <Icon name="shield" />
        <p class="hint">No messages yet. Only the people in this conversation can read what you write.</p>
      </div>
    );
  return (
    <div class="empty">
      <Icon name="people" />
      <h3>Nobody else is here yet</h3>
      <p class="hint">
        {rule === 'request'
          ? 'Whoever opens the link asks to join, and you let them in. '
          : 'Whoever opens the link joins. '}
        In a second window you can be the second person yourself.
      </p>
      <div class="row">
        <InvitationButtons conversation={conversation.id} />
      </div>
    </div>
  );
}

/** Opens the invitation in another window, or copies it. */
export function InvitationButtons({ conversation }: { readonly conversation: string }): JSX.Element {
  const link = invitationOf(conversation);
  return (
    <>
      <a class="button is-main" href={link} target="_blank" rel="noopener">
        <Icon name="open" />
        Open as another person<span class="hidden-text"> (opens a new tab)</span>
      </a>
      <CopyButton label="Copy the link" text={link} />
    </>
  );
}
