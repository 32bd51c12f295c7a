import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { pastedToken } from '../observation.ts';

/** Who has no operator's token sees no life; a token can be pasted. */
export function NoAccess({ reason }: { readonly reason?: string | undefined }): JSX.Element {
  const [token, setToken] = useState('');
  return (
    <section class="stack is-tight no-access" aria-labelledby="no-access">
      <h2 id="no-access">Life of this conversation</h2>
      <p>
        Here operators see how the service works for this conversation: its workflow, which way each message takes, and
        its log. No text is among it, and no key. It takes a token with the scope <code>operator</code>.
      </p>
      {reason === undefined ? null : (
        <p class="notice is-warn" role="alert">
          The service refused the token: {reason}
        </p>
      )}
      <form
        class="stack is-tight"
        onSubmit={(event) => {
          event.preventDefault();
          pastedToken.value = token.trim();
        }}
      >
        <div class="field">
          <label for="operator-token">Operator token</label>
          <textarea
            id="operator-token"
            class="input mono"
            rows={3}
            autocomplete="off"
            spellcheck={false}
            value={token}
            onInput={({ currentTarget }) => setToken(currentTarget.value)}
          />
          <span class="hint">It stays in the memory of this window.</span>
        </div>
        <div class="row">
          <button type="submit" class="button is-main" disabled={token.trim() === ''}>
            Show the life
          </button>
        </div>
      </form>
    </section>
  );
}
