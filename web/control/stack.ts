import { signal } from '@preact/signals';
import { followControl } from './follow-control.ts';
import type { ControlState, Part, PartName, SaidLine } from './parts.ts';

/** A part came into another state, or was started again. */
export interface PartChange {
  readonly at: number;
  readonly part: PartName;
  readonly state: Part['state'];
  readonly restarts: number;
}

/** The local stack, as far as the page knows it. */
export interface StackView {
  /** Absent: the control server has said nothing yet. */
  readonly state?: ControlState;
  /** What the terminal said, the oldest first. */
  readonly said: readonly SaidLine[];
  /** The oldest first. */
  readonly changes: readonly PartChange[];
  readonly isReachable: boolean;
}

const MOST_SAID = 50;
const MOST_CHANGES = 50;

/** Before the control server said anything. */
export const NO_STACK: StackView = { said: [], changes: [], isReachable: true };

/** The local stack; both sides of the right pane show it. */
export const stack = signal<StackView>(NO_STACK);

/** The view after the state has changed. */
export function withState(view: StackView, state: ControlState): StackView {
  const before = new Map(view.state?.parts.map((part) => [part.name, part]));
  const changed = state.parts.flatMap(({ name, state: now, since, restarts }): PartChange[] => {
    const old = before.get(name);
    const isSame = old === undefined || (old.state === now && old.restarts === restarts);
    return isSame ? [] : [{ at: since, part: name, state: now, restarts }];
  });
  return { ...view, state, changes: [...view.changes, ...changed].slice(-MOST_CHANGES) };
}

/** Lets `stack` follow the control server. @returns ends it */
export function followStack(control: string): () => void {
  return followControl(control, {
    onState: (state) => (stack.value = withState(stack.value, state)),
    onSaid: (line) => (stack.value = { ...stack.value, said: [...stack.value.said, line].slice(-MOST_SAID) }),
    // A new connection tells the last lines again.
    onReachable: (isReachable) => (stack.value = { ...stack.value, isReachable, ...(isReachable ? { said: [] } : {}) }),
  });
}
