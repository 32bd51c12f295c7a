import { effect, signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';

const KEY = 'parley/theme';
const THEMES: readonly Theme[] = ['auto', 'light', 'dark'];

/** The chosen colours. `auto` = those of the system. */
export const theme = signal<Theme>('auto');

/** Shows the page in the colours that were chosen before, and in those that are chosen from now on. */
export function applyTheme(): void {
  const stored = localStorage.getItem(KEY);
  theme.value = THEMES.find((one) => one === stored) ?? 'auto';
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    localStorage.setItem(KEY, theme.value);
  });
}
