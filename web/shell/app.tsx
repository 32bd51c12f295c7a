import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { BreakPane } from '../break/index.tsx';
import { readConfig } from '../control/index.ts';
import { LifePane } from '../life/index.tsx';
import { openConversation, openSession, session } from './session.ts';
import { readIdentity } from './window-identity.ts';

/** The page. */
export function App(): JSX.Element {
  useEffect(() => {
    const { user, device } = readIdentity(location);
    if (user === undefined) return;
    void readConfig()
      .then((config) => openSession({ user, device }, config))
      .then((opened) => (session.value = opened));
  }, []);
  return (
    <div class="panes">
      <main>Chat</main>
      <aside aria-label="Life of the conversation">
        <LifePane conversation={openConversation.value} />
        <BreakPane conversation={openConversation.value} />
      </aside>
    </div>
  );
}
