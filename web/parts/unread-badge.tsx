import type { JSX } from 'preact';

/** How many messages are unread, if there are any. */
export function UnreadBadge({ unread }: { readonly unread: number }): JSX.Element | null {
  if (unread === 0) return null;
  return (
    <span class="badge">
      {unread > 999 ? '999+' : unread}
      <span class="hidden-text"> unread</span>
    </span>
  );
}
