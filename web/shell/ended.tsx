import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import type { ChatModel } from '../chat/chat-model.ts';
import { Sheet } from '../parts/sheet.tsx';
import { forgetPerson } from './known-people.ts';
import { setWoken } from './woken-people.ts';

const goBack = (): void => location.assign('/app/');

/** Says why the chat has ended, and how it goes on. */
export function Ended({ model }: { readonly model: ChatModel }): JSX.Element | null {
  const { user, device } = model.session;
  const why = model.ended.value;
  useEffect(() => {
    if (why !== 'logged-out') return;
    forgetPerson({ user, device });
    void setWoken({ user, device }, false);
  }, [why, user, device]);
  switch (why) {
    case undefined:
      return null;
    case 'logged-out':
      return (
        <Sheet title="You have logged out" onClose={goBack}>
          <p>The keys and messages of this device are erased. The conversations go on without it.</p>
          <Buttons label="Back to the start" onClick={goBack} />
        </Sheet>
      );
    case 'replaced':
      return (
        <Sheet title="Another program uses this device" onClose={goBack}>
          <p>
            <bdi>{user}</bdi> has opened the device “<bdi>{device}</bdi>” in another browser or program. Only one can
            use it at a time.
          </p>
          <Buttons label="Use it here" onClick={() => location.reload()} />
        </Sheet>
      );
    case 'unauthenticated':
      return (
        <Sheet title="Your session is over" onClose={() => location.reload()}>
          <p>
            The service does not accept your token any more. What you wrote is kept on this device, and is sent when you
            are back.
          </p>
          <Buttons label="Sign in again" onClick={() => location.reload()} />
        </Sheet>
      );
  }
}

function Buttons({ label, onClick }: { readonly label: string; readonly onClick: () => void }): JSX.Element {
  return (
    <div class="row">
      <button type="button" class="button is-main" onClick={onClick}>
        {label}
      </button>
    </div>
  );
}
