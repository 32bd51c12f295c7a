import type { ControlState, SaidLine } from './parts.ts';

/** Who hears what the control server says. */
export interface ControlListener {
  /** The state of the stack, at once and at every change. */
  readonly onState: (state: ControlState) => void;
  /** A line of the terminal. The last lines come again at every connection. */
  readonly onSaid: (line: SaidLine) => void;
  /** Whether the control server answers. It is a part of `npm start`, so away means: the stack was ended. */
  readonly onReachable?: (isReachable: boolean) => void;
}

/** A stream that the browser gave up is opened again after this time. */
const AGAIN_MS = 2_000;

/**
 * Follows the events of the control server. It connects again as often as needed.
 * @returns ends it
 */
export function followControl(control: string, { onState, onSaid, onReachable }: ControlListener): () => void {
  let source: EventSource | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  const open = (): void => {
    source = new EventSource(new URL('/events', control));
    source.addEventListener('open', () => onReachable?.(true));
    source.addEventListener('state', (event) => onState(dataOf(event) as ControlState));
    source.addEventListener('said', (event) => onSaid(dataOf(event) as SaidLine));
    source.addEventListener('error', () => {
      onReachable?.(false);
      // A browser connects again by itself, except after an answer that is no stream.
      if (source?.readyState === EventSource.CLOSED) again = setTimeout(open, AGAIN_MS);
    });
  };
  open();
  return () => {
    clearTimeout(again);
    source?.close();
  };
}

function dataOf(event: Event): unknown {
  return JSON.parse((event as MessageEvent).data as string);
}
