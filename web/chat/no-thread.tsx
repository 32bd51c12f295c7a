import type { JSX } from 'preact';
import { Icon } from '../parts/icon.tsx';
import type { ChatModel } from './chat-model.ts';

/** What stands where messages would be, while no conversation is open. */
export function NoThread({ model, onNew }: { readonly model: ChatModel; readonly onNew: () => void }): JSX.Element {
  const hasSome = model.state.value.conversations.length > 0;
  return (
    <div class="empty">
      <Icon name="chat" />
      <h2>{hasSome ? 'Choose a conversation' : 'Start a conversation'}</h2>
      <p class="hint">
        {hasSome
          ? 'Its messages are shown here, and what the service does with them in the other pane.'
          : 'Then open its invitation link in a second window, as another person, and write to yourself.'}
      </p>
      <button type="button" class="button is-main" onClick={onNew}>
        <Icon name="add" />
        New conversation
      </button>
    </div>
  );
}
