import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import { Icon } from './icon.tsx';

/** Puts a text on the clipboard, and says so. */
export function CopyButton({ label, text }: { readonly label: string; readonly text: string }): JSX.Element {
  const [said, setSaid] = useState('');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(text);
      setSaid('Copied');
    } catch {
      setSaid('Not allowed: copy it by hand');
    }
  };
  return (
    <button type="button" class="button" onClick={() => void copy()} onBlur={() => setSaid('')}>
      <Icon name={said === 'Copied' ? 'check' : 'copy'} />
      <span role="status">{said === '' ? label : said}</span>
    </button>
  );
}
