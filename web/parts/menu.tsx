import type { JSX } from 'preact';
import { useId, useRef, useState } from 'preact/hooks';
import type { IconName } from './icon.tsx';
import { Icon } from './icon.tsx';

export interface MenuItem {
  readonly label: string;
  readonly icon: IconName;
  readonly isDanger?: boolean;
  readonly onChoose: () => void;
}

/** A button that opens a few more buttons beside it. Esc, or a click elsewhere, closes them. */
export function Menu({ label, items }: { readonly label: string; readonly items: readonly MenuItem[] }): JSX.Element {
  const id = useId();
  const [isOpen, setOpen] = useState(false);
  const button = useRef<HTMLButtonElement>(null);
  const list = useRef<HTMLDivElement>(null);
  const place = (): void => {
    if (button.current === null || list.current === null) return;
    const at = button.current.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = list.current;
    const left = Math.max(8, Math.min(at.right - width, innerWidth - width - 8));
    const top = at.bottom + height + 8 > innerHeight ? at.top - height - 4 : at.bottom + 4;
    list.current.style.left = `${left}px`;
    list.current.style.top = `${Math.max(8, top)}px`;
  };
  return (
    <>
      <button
        ref={button}
        type="button"
        class="icon-button"
        aria-label={label}
        aria-expanded={isOpen}
        aria-controls={id}
        popovertarget={id}
      >
        <Icon name="more" />
      </button>
      <div
        ref={list}
        id={id}
        class="menu"
        popover="auto"
        onToggle={({ newState }) => {
          setOpen(newState === 'open');
          if (newState !== 'open') return;
          place();
          list.current?.querySelector('button')?.focus();
        }}
      >
        {items.map(({ label: text, icon, isDanger = false, onChoose }) => (
          <button
            key={text}
            type="button"
            class={isDanger ? 'is-danger' : undefined}
            onClick={() => {
              list.current?.hidePopover();
              onChoose();
            }}
          >
            <Icon name={icon} />
            {text}
          </button>
        ))}
      </div>
    </>
  );
}
