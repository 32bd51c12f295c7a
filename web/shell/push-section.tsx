import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { ChatModel } from '../chat/chat-model.ts';
import { Icon } from '../parts/icon.tsx';
import { Problem } from '../parts/problem.tsx';
import { useAct } from '../parts/use-act.ts';
import type { PushState } from './push.ts';
import { pushState, startPush, stopPush } from './push.ts';

const WORDS: Readonly<Record<PushState, string>> = {
  'not-offered': 'This service wakes no browsers, or this browser cannot be woken.',
  denied: 'Your browser does not allow notifications of this page. Change it in the settings of the browser.',
  off: 'The service can wake this browser when a message comes while the page is closed. It says nothing about the message.',
  on: 'This browser is woken when a message comes while the page is closed.',
};

/** Notifications while the page is closed. */
export function PushSection({ model }: { readonly model: ChatModel }): JSX.Element {
  const { session } = model;
  const [state, setState] = useState<PushState | undefined>(undefined);
  const { isBusy, problem, act } = useAct();
  const change = (to: typeof pushState): void => void act(async () => setState(await to(session)));
  useEffect(() => change(pushState), [session]);
  const [label, next] =
    state === 'off' ? ['Turn on', startPush] : state === 'on' ? ['Turn off', stopPush] : ['Try again', pushState];
  const hasButton = state === 'off' || state === 'on' || (state === undefined && problem !== undefined);
  return (
    <section aria-labelledby="notifications">
      <h3 id="notifications">Notifications</h3>
      {state !== undefined && <p class="hint">{WORDS[state]}</p>}
      {state === undefined && isBusy && (
        <p class="row hint is-late" role="status">
          <span class="spinner" /> Loading …
        </p>
      )}
      <Problem words={problem} />
      {hasButton && (
        <div class="row">
          <button type="button" class="button" aria-disabled={isBusy} onClick={() => change(next)}>
            {isBusy ? <span class="spinner is-late" /> : <Icon name={state === undefined ? 'again' : 'bell'} />}
            {label}
          </button>
        </div>
      )}
    </section>
  );
}
