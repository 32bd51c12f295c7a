import type { JSX } from 'preact';
import { hueOf, initialsOf } from '../chat/names.ts';

/** The initials of a user on the user's colour. The name stands beside it. */
export function Avatar({ user, isSmall = false }: { readonly user: string; readonly isSmall?: boolean }): JSX.Element {
  return (
    <span class={isSmall ? 'avatar is-small' : 'avatar'} style={{ '--hue': String(hueOf(user)) }} aria-hidden="true">
      {initialsOf(user)}
    </span>
  );
}
