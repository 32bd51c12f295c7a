import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { act, type ControlState, ControlRefusedError, stack } from '../control/index.ts';
import { life } from '../life/observation.ts';
import { isCut } from '../shell/network.ts';
import { session } from '../shell/session.ts';
import { BACKUP, backupWords, type Breakage, BREAKAGES, CUT, PART_WORDS, TEMPORAL_STOP_MS, whyNot } from './actions.ts';
import './break.css';
import { runCheck, verdict } from './running-check.ts';
import { secondsLeft, storyOf } from './story.ts';
import { CheckStrip } from './view/check-strip.tsx';
import { RestoreDialog } from './view/restore-dialog.tsx';
import { StoryPanel } from './view/story-panel.tsx';

/** What the page was asked to break last. */
interface Begun {
  readonly breakage: Breakage;
  readonly since: number;
}

/** Facts of other clocks of this machine may be a little earlier than the click. */
const EARLIER_MS = 250;

/** Buttons that break a part of the stack, what happens then, and whether all messages are still there. */
export function BreakPane({ conversation }: { readonly conversation: string | undefined }): JSX.Element {
  const opened = session.value;
  useEffect(() => {
    if (opened === undefined || conversation === undefined) return undefined;
    return runCheck(opened, conversation);
  }, [opened, conversation]);
  return (
    <section class="break" aria-label="Break it">
      <CheckStrip verdict={verdict.value} />
      <Buttons conversation={conversation} control={opened?.config.control} />
    </section>
  );
}

interface ButtonsProps {
  readonly conversation: string | undefined;
  /** Absent: this is no local stack. */
  readonly control: string | undefined;
}

function Buttons({ conversation, control }: ButtonsProps): JSX.Element {
  const [begun, setBegun] = useState<Begun>();
  const [refusal, setRefusal] = useState<string>();
  const [isAsking, setAsking] = useState(false);
  const { state, isReachable } = stack.value;
  const action = state?.action ?? undefined;
  const now = useNow(action !== undefined);
  // These are about the conversation that was open.
  useEffect(() => {
    setRefusal(undefined);
    setBegun((one) => (one?.breakage.what === 'terminate-workflow' ? undefined : one));
  }, [conversation]);

  const begin = async (breakage: Breakage): Promise<void> => {
    if (control === undefined) return;
    setRefusal(undefined);
    setBegun({ breakage, since: Date.now() - EARLIER_MS });
    try {
      const isOfOne = breakage.what === 'terminate-workflow';
      await act(control, breakage.what, isOfOne ? conversation : undefined);
    } catch (error) {
      setBegun(undefined);
      setRefusal(error instanceof ControlRefusedError ? error.message : 'The control server does not answer.');
    }
  };
  const button = (breakage: Breakage, onClick: () => void, more?: string): JSX.Element => (
    <BreakButton
      key={breakage.what}
      breakage={breakage}
      reason={isReachable ? whyNot(breakage, state, conversation) : 'npm start does not answer.'}
      more={more}
      onClick={onClick}
    />
  );
  return (
    <>
      <div class="row break-head">
        <h2 class="grow">Break it</h2>
        {control === undefined ? null : <Parts state={state} />}
      </div>
      <div class="break-buttons" role="group" aria-label="What to break">
        {control === undefined ? null : BREAKAGES.map((breakage) => button(breakage, () => void begin(breakage)))}
        <button
          type="button"
          class={`button is-small${isCut.value ? ' is-on' : ''}`}
          title="This window, and others of the same device: what you write waits here. Those of others go on."
          onClick={() => {
            setBegun(undefined);
            setRefusal(undefined);
            isCut.value = !isCut.value;
          }}
        >
          {isCut.value ? CUT.end : CUT.begin}
        </button>
        {control === undefined ? null : (
          <>
            {button(BACKUP.take, () => void begin(BACKUP.take))}
            {button(BACKUP.restore, () => setAsking(true), backupWords(state?.backup ?? null))}
          </>
        )}
      </div>
      {control === undefined ? (
        <p class="hint">
          The other buttons are there with npm start only: nobody should break a service that others use.
        </p>
      ) : null}
      {refusal === undefined ? null : (
        <p class="notice is-warn" role="alert">
          {refusal}
        </p>
      )}
      {isReachable ? null : (
        <p class="notice is-danger" role="status">
          npm start does not answer: was it ended?
        </p>
      )}
      {isCut.value ? (
        <p class="notice is-warn" role="status">
          The network of this window is cut. So is that of other windows of the same device; those of others go on.
          Write something: it waits here, in order, and is encrypted when it is sent.
        </p>
      ) : null}
      {begun === undefined ? null : (
        <StoryPanel
          title={begun.breakage.label}
          does={begun.breakage.does}
          watch={begun.breakage.watch}
          lines={storyOf(begun.since, stack.value, life.value.facts)}
          isRunning={action?.what === begun.breakage.what}
          secondsLeft={secondsLeft(action, now, TEMPORAL_STOP_MS)}
          onClose={() => setBegun(undefined)}
        />
      )}
      {isAsking ? (
        <RestoreDialog
          backup={state?.backup ?? null}
          onAnswer={(isYes) => {
            setAsking(false);
            if (isYes) void begin(BACKUP.restore);
          }}
        />
      ) : null}
    </>
  );
}

/** It stays focusable while it does nothing, so that its reason can be read. */
function BreakButton({
  breakage: { label, does },
  reason,
  more,
  onClick,
}: {
  readonly breakage: Breakage;
  readonly reason: string | undefined;
  readonly more: string | undefined;
  readonly onClick: () => void;
}): JSX.Element {
  return (
    <button
      type="button"
      class="button is-small"
      title={reason ?? more ?? does}
      aria-disabled={reason !== undefined}
      onClick={() => {
        if (reason === undefined) onClick();
      }}
    >
      {label}
      {reason === undefined ? null : <span class="hidden-text"> ({reason})</span>}
    </button>
  );
}

function Parts({ state }: { readonly state: ControlState | undefined }): JSX.Element {
  return (
    <ul class="parts" aria-label="Parts of the stack">
      {(state?.parts ?? []).map(({ name, state: now, restarts }) => (
        <li key={name} data-state={now}>
          {PART_WORDS[name]} {PART_STATES[now]}
          {restarts === 0 ? null : <span title={`Started again ${restarts} times`}>, {restarts}×↻</span>}
        </li>
      ))}
    </ul>
  );
}

const PART_STATES = { running: 'runs', paused: 'is stopped', down: 'is down', external: 'is external' } as const;

/** The time, again each second while something runs. */
function useNow(isNeeded: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!isNeeded) return undefined;
    const tick = (): void => setNow(Date.now());
    tick();
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [isNeeded]);
  return now;
}
