import type { JSX } from 'preact';
import type { Added } from '../../client/index.ts';
import { missingWords } from './problem-words.ts';

/** Whom an invitation did not reach, and why. A name has its own direction of writing, and the sentence after it has not. */
export function LeftOut({ added: { missing, exhausted } }: { readonly added: Added }): JSX.Element {
  return (
    <ul class="long-text grow">
      {missing.map(({ user, code }) => (
        <li key={user}>
          <bdi>{user}</bdi> {missingWords(code)}
        </li>
      ))}
      {exhausted.map(({ user, device }) => (
        <li key={`${user} ${device}`}>
          <bdi>{user}</bdi> on <bdi>{device}</bdi> {missingWords('exhausted')}
        </li>
      ))}
    </ul>
  );
}
