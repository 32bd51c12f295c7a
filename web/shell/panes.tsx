import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { BreakPane } from '../break/index.tsx';
import type { ChatModel } from '../chat/chat-model.ts';
import { ChatPane } from '../chat/chat-pane.tsx';
import { LifePane } from '../life/index.tsx';
import { Icon } from '../parts/icon.tsx';
import { ProblemLink } from '../parts/problem.tsx';
import { UnreadBadge } from '../parts/unread-badge.tsx';
import { Bar } from './bar.tsx';
import { Ended } from './ended.tsx';
import { openConversation } from './session.ts';
import { addressOf, readIdentity } from './window-identity.ts';

type Pane = 'chat' | 'life';

/** The chat on the left, its life in the service on the right. On narrow screens one of the two. */
export function Panes({ model }: { readonly model: ChatModel }): JSX.Element {
  const [pane, setPane] = useState<Pane>('chat');
  const { user, device } = model.session;
  const { unread } = model.state.value;
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${user} – Parley`;
  }, [unread, user]);
  useEffect(() => {
    const moved = (): void => {
      const now = readIdentity(location);
      // Back to the page before the sign-in, or by hand to somebody else.
      if (now.user !== user || now.device !== device || now.join !== undefined) location.reload();
      else model.open(now.conversation);
    };
    addEventListener('popstate', moved);
    return () => removeEventListener('popstate', moved);
  }, [model, user, device]);
  const show = (conversation: string | undefined): void => {
    if (conversation !== openConversation.peek())
      history.pushState(null, '', addressOf({ user, device, ...(conversation === undefined ? {} : { conversation }) }));
    model.open(conversation);
  };
  useEffect(() => {
    if (!('serviceWorker' in navigator)) return undefined;
    // Of a click on a notification: the address of what it was about.
    const asked = ({ data, ports }: MessageEvent<string>): void => {
      const wanted = readIdentity(new URL(data));
      if (wanted.user !== user || wanted.device !== device) return;
      show(wanted.conversation);
      ports[0]?.postMessage('shown');
    };
    navigator.serviceWorker.addEventListener('message', asked);
    return () => navigator.serviceWorker.removeEventListener('message', asked);
  }, [model, user, device]);
  const open = openConversation.value;
  const tab = (name: Pane, label: string, icon: 'chat' | 'pulse', more?: JSX.Element): JSX.Element => (
    <button type="button" aria-current={pane === name ? 'true' : undefined} onClick={() => setPane(name)}>
      <Icon name={icon} />
      {label}
      {more}
    </button>
  );
  return (
    <div class="app" data-pane={pane}>
      <a class="skip" href="#messages" onClick={(event) => focusOn(event, 'messages', () => setPane('chat'))}>
        Skip to the messages
      </a>
      <a class="skip" href="#inside" onClick={(event) => focusOn(event, 'inside', () => setPane('life'))}>
        Skip to what happens inside the service
      </a>
      <Bar model={model} />
      <main class="panes">
        <ChatPane model={model} onShow={show} />
        <section id="inside" class="life-pane" aria-label="Inside the service" tabIndex={-1}>
          <LifePane conversation={open}>
            <BreakPane conversation={open} />
          </LifePane>
        </section>
      </main>
      <nav class="pane-tabs" aria-label="Panes">
        {tab('chat', 'Chat', 'chat', <UnreadBadge unread={unread} />)}
        {tab('life', 'Inside', 'pulse')}
      </nav>
      <Failures model={model} />
      <Ended model={model} />
    </div>
  );
}

/** What menus could not do, at the edge of the page. */
function Failures({ model }: { readonly model: ChatModel }): JSX.Element {
  return (
    <div class="toasts" role="alert">
      {model.failures.value.map((words, index) => (
        <div key={index} class="notice is-danger">
          <Icon name="alert" />
          <span class="grow">
            {words.text} <ProblemLink code={words.code} />
          </span>
        </div>
      ))}
    </div>
  );
}

/** The fragment of the address says which conversation is open, so a skip link moves only the focus. */
function focusOn(event: Event, id: string, showPane: () => void): void {
  event.preventDefault();
  showPane();
  requestAnimationFrame(() => document.getElementById(id)?.focus());
}
