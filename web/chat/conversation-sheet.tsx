import type { JSX } from 'preact';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { InvitationButtons, invitationOf } from './alone-here.tsx';
import type { ChatModel } from './chat-model.ts';
import { PeopleSection } from './people-section.tsx';
import type { ConversationProps } from './props.ts';
import { SafetySection } from './safety-section.tsx';
import { daysWords } from './times.ts';

/** People, safety and rules of a conversation. */
export function ConversationSheet({
  model,
  conversation,
  onClose,
}: ConversationProps & { readonly onClose: () => void }): JSX.Element {
  const isIn = conversation.state !== 'removed';
  return (
    <Sheet title="People, safety and rules" onClose={onClose}>
      <PeopleSection model={model} conversation={conversation} />
      {isIn && <InvitationSection model={model} conversation={conversation} />}
      <SafetySection model={model} conversation={conversation} />
      <RulesSection model={model} />
      {isIn && (
        <section aria-labelledby="leave">
          <h3 id="leave">Leave, or start again</h3>
          <p class="hint">
            Who leaves can read nothing that comes after. “Join again” gives this device fresh keys of the group, if
            something is wrong with the ones it has.
          </p>
          <div class="row">
            <ConfirmButton
              label="Leave"
              confirm="Really leave"
              onConfirm={async () => {
                await model.session.chat.leave(conversation.id);
                onClose();
              }}
            />
            <button
              type="button"
              class="button"
              onClick={() => {
                model.attempt(() => model.session.chat.rejoin(conversation.id));
                onClose();
              }}
            >
              Join again
            </button>
          </div>
        </section>
      )}
    </Sheet>
  );
}

function InvitationSection({ model, conversation: { id } }: ConversationProps): JSX.Element | null {
  const rule = model.details.value?.policy.externalJoin;
  if (rule !== 'anyone' && rule !== 'request') return null;
  return (
    <section aria-labelledby="invitation">
      <h3 id="invitation">Invitation link</h3>
      <p class="hint">
        {rule === 'anyone'
          ? 'Whoever has it may join, and reads what is written from then on.'
          : 'Whoever has it may ask to join. Somebody in the conversation lets them in.'}
      </p>
      <input class="input mono" readOnly aria-labelledby="invitation" value={invitationOf(id)} />
      <div class="row">
        <InvitationButtons conversation={id} />
      </div>
    </section>
  );
}

const WHO = { admin: 'admins', member: 'everybody in it', nobody: 'nobody' } as const;
const JOINS = {
  nobody: 'nobody',
  member: 'only further devices of the people in it',
  request: 'whoever asks and is let in',
  anyone: 'anyone with the link',
} as const;

function RulesSection({ model }: { readonly model: ChatModel }): JSX.Element {
  const details = model.details.value;
  return (
    <section aria-labelledby="rules">
      <h3 id="rules">Rules</h3>
      {details === undefined ? (
        <p class="hint is-late">The service has not said them yet.</p>
      ) : (
        <dl class="facts">
          <dt>The service keeps messages</dt>
          <dd>
            {details.policy.retentionDays === undefined
              ? 'for ever'
              : `for ${daysWords(details.policy.retentionDays)}. Devices keep what they have read`}
          </dd>
          <dt>Who may join by themselves</dt>
          <dd>{JOINS[details.policy.externalJoin]}</dd>
          <dt>Who may add others</dt>
          <dd>{WHO[details.policy.whoMayAdd]}</dd>
          <dt>Who may remove others</dt>
          <dd>{WHO[details.policy.whoMayRemove]}</dd>
          <dt>You are</dt>
          <dd>{details.role === 'admin' ? 'an admin' : 'a member'}</dd>
        </dl>
      )}
    </section>
  );
}
