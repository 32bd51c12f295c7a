import type { JSX } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import type { ProblemWords } from './problem-words.ts';
import { wordsOf } from './problem-words.ts';
import type { ConversationProps } from './props.ts';

/** Where a person writes. What is written while the service is away waits, and is sent later. */
export function Composer({ model, conversation }: ConversationProps): JSX.Element | null {
  const { id, state } = conversation;
  const [text, setText] = useState(() => model.drafts.get(id) ?? '');
  const [problem, setProblem] = useState<ProblemWords | undefined>(undefined);
  const input = useRef<HTMLTextAreaElement>(null);
  const help = useId();
  /** An input method is at work: Enter belongs to it. */
  const composing = useRef(false);
  // A keyboard that covers half of a phone comes only when it is asked for.
  useEffect(() => {
    if (matchMedia('(hover: hover)').matches) input.current?.focus();
  }, []);
  if (state === 'removed') return null;
  const write = (now: string): void => {
    setText(now);
    model.drafts.set(id, now);
  };
  const send = (): void => {
    const now = text.trim() === '' ? '' : text;
    if (now === '') return;
    // At once: what is typed next is the next message.
    write('');
    setProblem(undefined);
    model.send(id, now).catch((error: unknown) => {
      setProblem(wordsOf(error));
      const typed = model.drafts.get(id) ?? '';
      write(typed === '' ? now : typed);
    });
  };
  return (
    <div>
      <Problem words={problem} />
      <form
        class="composer"
        onSubmit={(event) => {
          event.preventDefault();
          send();
          input.current?.focus();
        }}
      >
        <textarea
          ref={input}
          class="input"
          rows={1}
          dir="auto"
          aria-label="Message"
          aria-describedby={help}
          placeholder="Message"
          enterkeyhint="send"
          value={text}
          onInput={({ currentTarget }) => {
            write(currentTarget.value);
            if (currentTarget.value !== '') model.session.chat.typing(id);
          }}
          onCompositionStart={() => (composing.current = true)}
          // Safari says that the composition has ended before it tells the Enter that ended it.
          onCompositionEnd={() => setTimeout(() => (composing.current = false))}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing || composing.current) return;
            event.preventDefault();
            send();
          }}
        />
        <span id={help} class="hidden-text">
          Enter sends, Shift and Enter begin a new line.
        </span>
        <button type="submit" class="icon-button send" aria-label="Send" disabled={text.trim() === ''}>
          <Icon name="send" />
        </button>
      </form>
    </div>
  );
}
