import type { JSX } from 'preact';
import { Fragment } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Added, ChatMember } from '../../client/index.ts';
import { Avatar } from '../parts/avatar.tsx';
import { ConfirmButton } from '../parts/confirm-button.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAct } from '../parts/use-act.ts';
import { shortKey } from './fingerprint.ts';
import { LeftOut } from './left-out.tsx';
import { nameProblem, namesIn } from './names.ts';
import type { ConversationProps } from './props.ts';
import { useSafety } from './use-safety.ts';

/** The people in a conversation, and their devices. */
export function PeopleSection({ model, conversation }: ConversationProps): JSX.Element {
  const details = model.details.value;
  const isIn = conversation.state !== 'removed';
  const may = (who: 'admin' | 'member' | 'nobody' | undefined): boolean =>
    isIn && (who === undefined || who === 'member' || (who === 'admin' && details?.role === 'admin'));
  const own = useSafety(model, conversation)?.device;
  return (
    <section aria-labelledby="people">
      <h3 id="people">People</h3>
      {may(details?.policy.whoMayAdd) && <AddForm model={model} conversation={conversation} />}
      <ul>
        {conversation.members.map((member) => (
          <Person
            key={member.user}
            model={model}
            conversation={conversation}
            member={member}
            own={own}
            mayRemove={may(details?.policy.whoMayRemove)}
          />
        ))}
      </ul>
    </section>
  );
}

function AddForm({ model, conversation }: ConversationProps): JSX.Element {
  const [text, setText] = useState('');
  const [added, setAdded] = useState<Added | undefined>(undefined);
  const { isBusy, problem, act } = useAct();
  const field = useId();
  const names = namesIn(text);
  const wrong = text === '' ? undefined : names.map(nameProblem).find((one) => one !== undefined);
  const add = (event: Event): void => {
    event.preventDefault();
    if (names.length === 0 || wrong !== undefined) return;
    void act(async () => {
      setAdded(undefined);
      setAdded(await model.session.chat.add(conversation.id, names));
      setText('');
    });
  };
  return (
    <form class="stack is-tight" onSubmit={add} noValidate>
      <label for={field} class="hidden-text">
        Names to add
      </label>
      <div class="row">
        <input
          id={field}
          class="input grow"
          dir="auto"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          placeholder="Names, with commas between them"
          value={text}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
        <button type="submit" class="button is-main" aria-disabled={isBusy || names.length === 0}>
          {isBusy && <span class="spinner is-late" />}
          Add
        </button>
      </div>
      <div role="status" class="hint">
        {wrong}
        {added !== undefined && added.invited.length > 0 && (
          <p class="long-text">
            Added:{' '}
            {added.invited.map((user, index) => (
              <Fragment key={user}>
                {index > 0 && ', '}
                <bdi>{user}</bdi>
              </Fragment>
            ))}
            .
          </p>
        )}
        {added !== undefined && <LeftOut added={added} />}
      </div>
      <Problem words={problem} />
    </form>
  );
}

interface PersonProps extends ConversationProps {
  readonly member: ChatMember;
  /** Signature key of this device. */
  readonly own: string | undefined;
  readonly mayRemove: boolean;
}

function Person({ model, conversation, member, own, mayRemove }: PersonProps): JSX.Element {
  const { chat, user } = model.session;
  const isSelf = member.user === user;
  return (
    <li class="person">
      <Avatar user={member.user} />
      <span class="long-text">
        <bdi>{member.user}</bdi>
        {isSelf && <span class="hint"> (you)</span>}
      </span>
      {mayRemove && !isSelf ? (
        <ConfirmButton
          isSmall
          label="Remove"
          confirm="Really remove"
          of={member.user}
          onConfirm={() => chat.remove(conversation.id, [member.user])}
        />
      ) : (
        <span />
      )}
      <ul class="devices" aria-label={`Devices of ${member.user}`}>
        {member.devices.map((key) => (
          <li key={key} class="device">
            <span class="hint">
              Device <code>{shortKey(key)}</code>
              {key === own && ' (this one)'}
            </span>
            {mayRemove && key !== own && member.devices.length > 1 && (
              <ConfirmButton
                isSmall
                label="Remove"
                confirm="Really remove"
                of={`device ${shortKey(key)} of ${member.user}`}
                onConfirm={() => chat.removeDevice(conversation.id, key)}
              />
            )}
          </li>
        ))}
      </ul>
    </li>
  );
}
