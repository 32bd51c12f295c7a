import type { JSX } from 'preact';

/** Buttons that break a part of the stack, and what each side has sent and read. */
export function BreakPane(_: { readonly conversation: string | undefined }): JSX.Element {
  return <p class="hint">Nothing to break here.</p>;
}
