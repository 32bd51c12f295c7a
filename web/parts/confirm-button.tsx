import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { useAct } from './use-act.ts';
import { Problem } from './problem.tsx';

export interface ConfirmButtonProps {
  readonly label: string;
  /** What the button says when it is pressed once. */
  readonly confirm: string;
  /** For who cannot see what the button stands beside. */
  readonly of?: string;
  readonly isSmall?: boolean;
  readonly onConfirm: () => Promise<void>;
}

/** A button that does something only when it is pressed twice. */
export function ConfirmButton({ label, confirm, of, isSmall = false, onConfirm }: ConfirmButtonProps): JSX.Element {
  const [isAsked, setAsked] = useState(false);
  const { isBusy, problem, act } = useAct();
  return (
    <>
      <button
        type="button"
        class={`button is-danger ${isSmall ? 'is-small' : ''}`}
        aria-disabled={isBusy}
        aria-label={of === undefined ? undefined : `${isAsked ? confirm : label}: ${of}`}
        onBlur={() => setAsked(false)}
        onClick={() => {
          if (isBusy) return;
          if (isAsked) void act(onConfirm).then(() => setAsked(false));
          else setAsked(true);
        }}
      >
        {isBusy && <span class="spinner is-late" />}
        {isAsked ? confirm : label}
      </button>
      {problem !== undefined && <Problem words={problem} />}
    </>
  );
}
