import type { JSX } from 'preact';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import type { ChatModel } from './chat-model.ts';

export interface JoiningThreadProps {
  readonly model: ChatModel;
  readonly conversation: string;
  readonly onBack: () => void;
}

/** A conversation that this device is not in: it joins, waits to be let in, or cannot join. */
export function JoiningThread({ model, conversation, onBack }: JoiningThreadProps): JSX.Element {
  const joining = model.joining.value;
  const phase = joining?.conversation === conversation ? joining.phase : undefined;
  const isLoading = phase === 'joining' || (phase === undefined && model.state.value.connection === 'connecting');
  const join = (
    <button type="button" class="button is-main" onClick={() => void model.join(conversation)}>
      {phase === 'asked' ? 'Ask again' : phase === 'failed' ? 'Try again' : 'Join'}
    </button>
  );
  const back = (
    <button type="button" class="button" onClick={onBack}>
      Back to the list
    </button>
  );
  if (isLoading)
    return (
      <div class="empty">
        <p class="row is-late" role="status">
          <span class="spinner" /> Joining the conversation …
        </p>
      </div>
    );
  return (
    <div class="empty">
      <Icon name={phase === 'asked' ? 'clock' : 'link'} />
      {phase === 'asked' ? (
        <>
          <h2>You have asked to join</h2>
          <p class="hint" role="status">
            Somebody in the conversation must let you in. If the group changes before that, ask again.
          </p>
        </>
      ) : (
        <h2>{phase === 'failed' ? 'You could not join' : 'This device is not in this conversation'}</h2>
      )}
      <Problem words={joining?.problem} />
      <div class="row">
        {join}
        {back}
      </div>
    </div>
  );
}
