import type { ComponentChildren, JSX } from 'preact';
import type { ProblemWords } from '../chat/problem-words.ts';
import { problemPage } from '../chat/problem-words.ts';
import { Icon } from './icon.tsx';

/** What went wrong, with a link to the page about it. It is read out when it appears. */
export function Problem({
  words,
  children,
}: {
  readonly words: ProblemWords | undefined;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div role="alert">
      {words === undefined ? null : (
        <div class="notice is-danger">
          <Icon name="alert" />
          <div class="grow">
            {words.text} <ProblemLink code={words.code} />
            {children}
          </div>
        </div>
      )}
    </div>
  );
}

/** Link to the page about a code. */
export function ProblemLink({ code }: { readonly code: string | undefined }): JSX.Element | null {
  if (code === undefined) return null;
  return (
    <a href={problemPage(code)} target="_blank" rel="noopener">
      {code}
      <span class="hidden-text"> (opens a new tab)</span>
    </a>
  );
}
