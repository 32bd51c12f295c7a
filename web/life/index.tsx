import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { followStack, type SaidLine, stack } from '../control/index.ts';
import { isCut } from '../shell/network.ts';
import { session } from '../shell/session.ts';
import type { LifeState } from './model/life-state.ts';
import { life, observe, pastedToken } from './observation.ts';
import './life.css';
import { clockTime } from './view/clock.ts';
import { LifeHead } from './view/head.tsx';
import { LogChain } from './view/log-chain.tsx';
import { NoAccess } from './view/no-access.tsx';
import { Timeline } from './view/timeline.tsx';
import { WaysPicture } from './view/ways-picture.tsx';

const PARTS = { temporal: 'Temporal', postgres: 'Postgres' } as const;

/**
 * The life of the conversation that is open: what its workflow does, and which way each operation takes.
 * @param children what stands between the picture and the timeline
 */
export function LifePane({
  conversation,
  children,
}: {
  readonly conversation: string | undefined;
  readonly children?: ComponentChildren;
}): JSX.Element {
  const { config, operatorToken } = session.value ?? {};
  const pasted = pastedToken.value;
  const token = pasted === undefined || pasted === '' ? operatorToken : (): string => pasted;
  useEffect(() => (config?.control === undefined ? undefined : followStack(config.control)), [config?.control]);
  useEffect(() => {
    if (conversation === undefined || token === undefined) return undefined;
    return observe(conversation, token);
  }, [conversation, operatorToken, pasted]);
  const now = life.value;

  if (conversation === undefined) return <Welcome>{children}</Welcome>;
  const isRefused = now.connection.kind === 'no-access';
  if (isRefused || (session.value !== undefined && token === undefined))
    return (
      <div class="life">
        <NoAccess reason={now.connection.kind === 'no-access' ? now.connection.reason : undefined} />
        {children}
      </div>
    );
  return (
    <div class="life">
      <LifeHead life={now} />
      <Banners life={now} />
      <WaysPicture life={now} parts={stack.value.state?.parts ?? []} isCut={isCut.value} />
      {children}
      <Record life={now} said={stack.value.said} />
    </div>
  );
}

/** Before a conversation is open: what will be seen here. */
function Welcome({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <div class="life">
      <h2>Life of the conversation</h2>
      <div class="life-welcome">
        <p>
          On the left people chat, end-to-end encrypted. Here you see{' '}
          <strong>how the service carries each message</strong>, without being able to read it.
        </p>
        <ul>
          <li>
            <strong>Each conversation is one workflow</strong> in Temporal: it puts what arrives in one order, retries,
            and keeps its timers.
          </li>
          <li>
            <strong>One transaction in Postgres decides.</strong> What it has committed stays, whatever breaks.
          </li>
          <li>
            <strong>Break it:</strong> kill a part and go on chatting. Nothing gets lost, doubled or out of order.
          </li>
        </ul>
        <p class="hint">Open a conversation, or begin one, to see its life.</p>
      </div>
      {children}
    </div>
  );
}

function Banners({ life: { troubles, connection } }: { readonly life: LifeState }): JSX.Element | null {
  if (connection.kind === 'connecting') return <p class="hint is-late">Asking the service about this conversation …</p>;
  if (connection.kind === 'unknown')
    return <p class="notice is-warn">The service does not know this conversation. It is looked for again.</p>;
  return (
    <>
      {connection.kind === 'away' ? (
        <p class="notice is-danger" role="status">
          The API does not answer. What you see is how it was; it is tried again all the time.
        </p>
      ) : null}
      {troubles.map(({ part, code }) => (
        <p key={part} class="notice is-warn" role="status" title={code}>
          {part === 'temporal'
            ? 'Temporal does not answer. The API decides by itself meanwhile, in the same transaction in Postgres.'
            : `${PARTS[part]} does not answer. Messages wait in the windows and are sent again.`}
        </p>
      ))}
    </>
  );
}

const VIEWS = [
  ['facts', 'What happened'],
  ['log', 'Log and chain'],
  ['terminal', 'Terminal'],
] as const;

/** The timeline, the log, or what the terminal said. */
function Record({
  life: { conversation, facts, entries },
  said,
}: {
  readonly life: LifeState;
  readonly said: readonly SaidLine[];
}): JSX.Element {
  const [view, setView] = useState<(typeof VIEWS)[number][0]>('facts');
  return (
    <section class="record" aria-label="Record">
      <div class="record-tabs" role="group" aria-label="View">
        {VIEWS.filter(([name]) => name !== 'terminal' || said.length > 0).map(([name, label]) => (
          <button key={name} type="button" aria-pressed={view === name} onClick={() => setView(name)}>
            {label}
          </button>
        ))}
      </div>
      {view === 'facts' ? <Timeline key={conversation} facts={facts} /> : null}
      {view === 'log' ? <LogChain entries={entries} /> : null}
      {view === 'terminal' ? (
        <pre class="terminal" tabIndex={0} aria-label="What the terminal said">
          {said.map(({ at, text }) => `${clockTime(at)}  ${text}\n`)}
        </pre>
      ) : null}
    </section>
  );
}
