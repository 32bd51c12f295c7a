import type { JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import type { Added } from '../../client/index.ts';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { useAct } from '../parts/use-act.ts';
import type { ChatModel } from './chat-model.ts';
import { LeftOut } from './left-out.tsx';
import { nameProblem, namesIn } from './names.ts';
import { daysWords } from './times.ts';

const RETENTIONS = [1, 7, 30, 365];

export interface NewConversationProps {
  readonly model: ChatModel;
  readonly onClose: () => void;
  readonly onMade: (id: string) => void;
}

/** Asks for the people and the rules of a new conversation. */
export function NewConversation({ model, onClose, onMade }: NewConversationProps): JSX.Element {
  const { chat, user } = model.session;
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(true);
  const [days, setDays] = useState(0);
  const [made, setMade] = useState<string | undefined>(undefined);
  /** Of the people, if somebody was left out. */
  const [added, setAdded] = useState<Added | undefined>(undefined);
  const { isBusy, problem, act } = useAct();
  const [people, help, retention, link] = [useId(), useId(), useId(), useId()];
  const names = namesIn(text).filter((name) => name !== user);
  const wrong = names.map(nameProblem).find((one) => one !== undefined);
  const make = (event: Event): void => {
    event.preventDefault();
    if (wrong !== undefined) return;
    void act(async () => {
      // What went well is not done again: a second try only adds the people.
      const id =
        made ??
        (await chat.create({
          policy: {
            externalJoin: isOpen ? 'anyone' : 'request',
            ...(days === 0 ? {} : { retentionDays: days }),
          },
        }));
      setMade(id);
      const now = names.length === 0 ? undefined : await chat.add(id, names);
      if (now !== undefined && now.missing.length + now.exhausted.length > 0) setAdded(now);
      else onMade(id);
    });
  };
  return (
    <Sheet title="New conversation" onClose={() => (made === undefined ? onClose() : onMade(made))}>
      {added !== undefined && made !== undefined ? (
        <>
          <div class="notice is-warn" role="alert">
            <Icon name="alert" />
            <LeftOut added={added} />
          </div>
          <p>The conversation is there without them. Send them its invitation link.</p>
          <div class="row">
            <button type="button" class="button is-main" onClick={() => onMade(made)}>
              Open the conversation
            </button>
          </div>
        </>
      ) : (
        <form class="stack" onSubmit={make} noValidate>
          <div class="field">
            <label for={people}>People</label>
            <input
              id={people}
              class="input"
              dir="auto"
              autocomplete="off"
              autocapitalize="off"
              spellcheck={false}
              aria-describedby={help}
              aria-invalid={wrong !== undefined}
              value={text}
              onInput={({ currentTarget }) => setText(currentTarget.value)}
              autoFocus
            />
            <p id={help} class="hint" role="status">
              {wrong ?? 'Names with commas between them. Leave it empty to invite by link.'}
            </p>
          </div>
          <label class="check" for={link}>
            <input
              id={link}
              type="checkbox"
              checked={isOpen}
              onChange={({ currentTarget }) => setOpen(currentTarget.checked)}
            />
            <span>
              Anyone with the link may join
              <span class="hint"> – otherwise they ask, and somebody in the conversation lets them in</span>
            </span>
          </label>
          <div class="field">
            <label for={retention}>The service keeps messages</label>
            <select
              id={retention}
              class="input"
              value={String(days)}
              onChange={({ currentTarget }) => setDays(Number(currentTarget.value))}
            >
              <option value="0">for ever</option>
              {RETENTIONS.map((one) => (
                <option key={one} value={String(one)}>
                  for {daysWords(one)}
                </option>
              ))}
            </select>
            <p class="hint">Devices keep what they have read.</p>
          </div>
          <Problem words={problem} />
          <div class="row">
            <button type="submit" class="button is-main" aria-disabled={isBusy}>
              {isBusy && <span class="spinner is-late" />}
              {made === undefined ? 'Create' : 'Try again'}
            </button>
          </div>
        </form>
      )}
    </Sheet>
  );
}
