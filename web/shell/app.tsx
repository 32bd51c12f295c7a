import type { ComponentChildren, JSX } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { ChatModel } from '../chat/chat-model.ts';
import type { ProblemWords } from '../chat/problem-words.ts';
import { wordsOf } from '../chat/problem-words.ts';
import type { AppConfig } from '../control/index.ts';
import { readConfig } from '../control/index.ts';
import { Problem } from '../parts/problem.tsx';
import { knownPeople, rememberPerson } from './known-people.ts';
import { openSession } from './open-session.ts';
import { Panes } from './panes.tsx';
import { renewPush } from './push.ts';
import { session } from './session.ts';
import type { SignIn } from './welcome.tsx';
import { Welcome } from './welcome.tsx';
import type { WindowIdentity } from './window-identity.ts';
import { addressOf, readIdentity } from './window-identity.ts';

type Stage =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly problem: ProblemWords; readonly again: () => void }
  | { readonly kind: 'welcome'; readonly config: AppConfig; readonly identity: WindowIdentity }
  | { readonly kind: 'open'; readonly model: ChatModel };

/** The page: who is in this window, and then the two panes. */
export function App(): JSX.Element {
  const [stage, setStage] = useState<Stage>({ kind: 'loading' });

  const signIn = useCallback(async (config: AppConfig, { user, device, token }: SignIn): Promise<void> => {
    const { join, conversation } = readIdentity(location);
    setStage({ kind: 'loading' });
    try {
      const opened = await openSession({ user, device }, config, token);
      rememberPerson({ user, device });
      session.value = opened;
      const shown = join ?? conversation;
      history.replaceState(
        null,
        '',
        addressOf({ user, device, ...(shown === undefined ? {} : { conversation: shown }) }),
      );
      const model = new ChatModel(opened);
      setStage({ kind: 'open', model });
      // Without a network, the next start does it.
      renewPush(opened).catch(() => undefined);
      if (join === undefined) model.open(conversation);
      else void model.join(join);
    } catch (error) {
      const again = (): void => void signIn(config, { user, device, ...(token === undefined ? {} : { token }) });
      setStage({ kind: 'failed', problem: wordsOf(error), again });
    }
  }, []);

  const start = useCallback(async (): Promise<void> => {
    setStage({ kind: 'loading' });
    const identity = readIdentity(location);
    try {
      const config = await readConfig();
      const { user, device } = identity;
      if (user !== undefined && config.control !== undefined) await signIn(config, { user, device });
      else setStage({ kind: 'welcome', config, identity });
    } catch (error) {
      setStage({ kind: 'failed', problem: wordsOf(error), again: () => void start() });
    }
  }, [signIn]);
  useEffect(() => void start(), [start]);

  switch (stage.kind) {
    case 'loading':
      return (
        <Middle>
          <p class="row is-late" role="status">
            <span class="spinner" /> Opening the chat …
          </p>
        </Middle>
      );
    case 'failed':
      return (
        <Middle>
          <h1>The chat cannot be opened</h1>
          <Problem words={stage.problem} />
          <div class="row">
            <button type="button" class="button is-main" onClick={stage.again}>
              Try again
            </button>
            {knownPeople().length > 0 && (
              <a class="button" href="/app/">
                Choose another name
              </a>
            )}
          </div>
        </Middle>
      );
    case 'welcome': {
      const { config, identity } = stage;
      return (
        <Welcome
          identity={identity}
          hasControl={config.control !== undefined}
          onSignIn={(who) => {
            const { join } = identity;
            // A reload keeps who this window is.
            const { user, device } = who;
            history.pushState(null, '', addressOf({ user, device, ...(join === undefined ? {} : { join }) }));
            void signIn(config, who);
          }}
        />
      );
    }
    case 'open':
      return <Panes model={stage.model} />;
  }
}

function Middle({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <div class="welcome">
      <main>{children}</main>
    </div>
  );
}
