import { useEffect } from 'preact/hooks';

interface Place {
  readonly current: HTMLElement | null;
}

/**
 * Keeps the focus near: when what has it inside a place is gone, such as the button of a message that is deleted, another element
 * there has it. Otherwise a keyboard would begin again at the top of the page.
 * @param heirOf gives this element; it must be focusable
 */
export function useKeptFocus(place: Place, heirOf: (place: HTMLElement) => HTMLElement | null): void {
  useEffect(() => {
    const { current } = place;
    if (current === null) return undefined;
    let last: Element | undefined;
    const note = ({ target }: Event): void => {
      last = target instanceof Element && current.contains(target) ? target : undefined;
    };
    const watch = new MutationObserver(() => {
      if (last === undefined || last.isConnected || document.activeElement !== document.body) return;
      heirOf(current)?.focus();
    });
    document.addEventListener('focusin', note);
    watch.observe(current, { childList: true, subtree: true });
    return () => {
      document.removeEventListener('focusin', note);
      watch.disconnect();
    };
  }, [place]);
}
