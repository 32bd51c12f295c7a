import type { JSX } from 'preact';
import { useId, useRef, useState } from 'preact/hooks';
import { nameProblem } from '../chat/names.ts';
import { Avatar } from '../parts/avatar.tsx';
import { knownPeople } from './known-people.ts';
import { newName } from './new-names.ts';
import { claimsOf } from './token-claims.ts';
import type { WindowIdentity } from './window-identity.ts';
import { addressOf, DEFAULT_DEVICE } from './window-identity.ts';

export interface SignIn {
  readonly user: string;
  readonly device: string;
  /** Only where no control server gives tokens. */
  readonly token?: string;
}

export interface WelcomeProps {
  readonly identity: WindowIdentity;
  /** The local stack gives tokens for any name. */
  readonly hasControl: boolean;
  readonly onSignIn: (who: SignIn) => void;
}

/** The first page: who is in this window? */
export function Welcome({ identity, hasControl, onSignIn }: WelcomeProps): JSX.Element {
  const isInvited = identity.join !== undefined;
  return (
    <div class="welcome">
      <main>
        <div class="stack is-tight">
          <p class="brand">
            <img src="/app/icon.svg" alt="" />
            <span>Parley</span>
          </p>
          <h1>{isInvited ? 'You are invited to a conversation' : 'An encrypted chat, and a look inside'}</h1>
          <p class="hint">
            Messages are encrypted in this window. Beside them you see what the service does with each one.
          </p>
        </div>
        {hasControl ? (
          <NameForm identity={identity} onSignIn={onSignIn} />
        ) : (
          <TokenForm identity={identity} onSignIn={onSignIn} />
        )}
        {hasControl && <Known identity={identity} />}
      </main>
    </div>
  );
}

function NameForm({ identity, onSignIn }: Pick<WelcomeProps, 'identity' | 'onSignIn'>): JSX.Element {
  const { join, device } = identity;
  const known = knownPeople();
  const [name, setName] = useState(() => newName(known));
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const input = useRef<HTMLInputElement>(null);
  const [field, help] = [useId(), useId()];
  const same = join === undefined ? undefined : known.find(({ user }) => user === name.trim());
  const submit = (event: Event): void => {
    event.preventDefault();
    const user = name.trim();
    const wrong = nameProblem(user);
    setProblem(wrong);
    if (wrong === undefined && same === undefined) onSignIn({ user, device });
    else input.current?.focus();
  };
  return (
    <form class="stack" onSubmit={submit} noValidate>
      <div class="field">
        <label for={field}>Your name</label>
        <input
          ref={input}
          id={field}
          class="input"
          dir="auto"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          value={name}
          aria-describedby={help}
          aria-invalid={problem !== undefined || same !== undefined}
          onFocus={({ currentTarget }) => currentTarget.select()}
          onInput={({ currentTarget }) => {
            setName(currentTarget.value);
            setProblem(undefined);
          }}
          autoFocus
        />
        <p id={help} class="hint" role="status">
          {problem ??
            (same === undefined ? (
              'Any name will do. Another window with another name is another person.'
            ) : (
              <>
                <bdi>{same.user}</bdi> is in this browser already. Choose another name to be a second person, or{' '}
                <a href={addressOf({ ...same, ...(join === undefined ? {} : { join }) })}>
                  go on as <bdi>{same.user}</bdi>
                </a>
                .
              </>
            ))}
        </p>
      </div>
      <button type="submit" class="button is-main">
        {join === undefined ? 'Start' : 'Join'}
      </button>
    </form>
  );
}

function TokenForm({ identity, onSignIn }: Pick<WelcomeProps, 'identity' | 'onSignIn'>): JSX.Element {
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const input = useRef<HTMLTextAreaElement>(null);
  const [field, help] = [useId(), useId()];
  const submit = (event: Event): void => {
    event.preventDefault();
    const token = input.current?.value.trim() ?? '';
    const claims = claimsOf(token);
    const isOther = identity.user !== undefined && claims?.user !== identity.user;
    if (claims === undefined) setProblem('This is no token: paste all of it, three parts with dots between them.');
    else if (isOther) setProblem(`This token is for ${claims.user}, and this window is of ${identity.user ?? ''}.`);
    else onSignIn({ user: claims.user, device: claims.device ?? identity.device, token });
  };
  return (
    <form class="stack" onSubmit={submit} noValidate>
      <div class="field">
        <label for={field}>
          {identity.user === undefined ? (
            'Token'
          ) : (
            <>
              Token of <bdi>{identity.user}</bdi>
            </>
          )}
        </label>
        <textarea
          ref={input}
          id={field}
          class="input mono"
          rows={5}
          autocomplete="off"
          spellcheck={false}
          aria-describedby={help}
          aria-invalid={problem !== undefined}
          onInput={() => setProblem(undefined)}
          autoFocus
        />
        <p id={help} class="hint" role="status">
          {problem ?? 'A bearer token (JWT) from your sign-in. It stays in the memory of this window.'}
        </p>
      </div>
      <button type="submit" class="button is-main">
        Sign in
      </button>
    </form>
  );
}

/** People of this browser, to go on as one of them. */
function Known({ identity }: { readonly identity: WindowIdentity }): JSX.Element | null {
  const known = knownPeople().slice(0, 5);
  if (known.length === 0 || identity.join !== undefined) return null;
  return (
    <section class="stack is-tight" aria-labelledby="known">
      <h2 id="known" class="hint">
        Or go on as
      </h2>
      <ul class="known">
        {known.map(({ user, device }) => (
          <li key={`${user} ${device}`}>
            <a href={addressOf({ user, device })}>
              <Avatar user={user} isSmall />
              <bdi class="cut grow">{user}</bdi>
              {device !== DEFAULT_DEVICE && <bdi class="hint cut">{device}</bdi>}
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}
