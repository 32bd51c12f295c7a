import type { JSX } from 'preact';

/** The life of the conversation that is open: what its workflow does. */
export function LifePane({ conversation }: { readonly conversation: string | undefined }): JSX.Element {
  return <p class="hint">{conversation ?? 'Open a conversation to see its life.'}</p>;
}
