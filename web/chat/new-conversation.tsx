import type { JSX } from 'preact';
import { useId, useState } from 'preact/hooks';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { Sheet } from '../parts/sheet.tsx';
import { useAct } from '../parts/use-act.ts';
import type { ChatModel } from './chat-model.ts';
import { nameProblem, namesIn } from './names.ts';
import { missingWords } from './problem-words.ts';
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
  const [missing, setMissing] = useState<readonly string[]>([]);
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
      const added = names.length === 0 ? undefined : await chat.add(id, names);
      const left = [
        ...(added?.missing ?? []).map((one) => missingWords(one.user, one.code)),
        ...(added?.exhausted ?? []).map((one) => missingWords(`${one.user} on ${one.device}`, 'exhausted')),
      ];
      setMissing(left);
      if (left.length === 0) onMade(id);
    });
  };
  return (
    <Sheet title="New conversation" onClose={() => (made === undefined ? onClose() : onMade(made))}>
      {missing.length > 0 && made !== undefined ? (
        <>
          <div class="notice is-warn" role="alert">
            <Icon name="alert" />
            <ul class="grow">
              {missing.map((one) => (
                <li key={one}>
                  <bdi>{one}</bdi>
                </li>
              ))}
            </ul>
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
            <label for={retention}>Keep messages</label>
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
          </div>
          <Problem words={problem} />
          <div class="row">
            <button type="submit" class="button is-main" disabled={isBusy}>
              {isBusy && <span class="spinner is-late" />}
              {made === undefined ? 'Create' : 'Try again'}
            </button>
          </div>
        </form>
      )}
    </Sheet>
  );
}
