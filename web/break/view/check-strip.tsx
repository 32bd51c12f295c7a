import type { JSX } from 'preact';
import type { Verdict } from '../check.ts';
import { countWords, wrongWords } from '../check-words.ts';

/** Three numbers that stay 0, and what they come from. */
export function CheckStrip({ verdict }: { readonly verdict: Verdict | undefined }): JSX.Element | null {
  if (verdict === undefined) return null;
  const { lost, doubled, disordered, windows } = verdict;
  const numbers: [string, number][] = [
    ['lost', lost],
    ['doubled', doubled],
    ['out of order', disordered],
  ];
  const isWrong = lost + doubled + disordered > 0;
  return (
    <section class="check-strip" data-wrong={isWrong} aria-label="Running check">
      <ul>
        {numbers.map(([name, value]) => (
          <li key={name} data-wrong={value > 0}>
            <b>{value}</b> {name}
          </li>
        ))}
      </ul>
      <p>
        {countWords(verdict)}
        {windows === 0 ? '' : ` · ${windows + 1} windows compared`}
        <span role="status" class={isWrong ? 'is-wrong' : 'hidden-text'}>
          {isWrong ? ` · ${wrongWords(verdict)}` : wrongWords(verdict)}
        </span>
      </p>
    </section>
  );
}
