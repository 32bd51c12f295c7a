import type { ComponentChildren, JSX } from 'preact';
import { useEffect, useId, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';
import { useKeptFocus } from './use-kept-focus.ts';

export interface SheetProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

/** A dialog over the page. The browser keeps the focus in it, closes it with Esc, and gives the focus back. */
export function Sheet({ title, onClose, children }: SheetProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useKeptFocus(dialog, (sheet) => sheet.querySelector('h2'));
  /** The press began beside the sheet: a selection that is dragged out of it does not close it. */
  const isBeside = useRef(false);
  useEffect(() => {
    const { current } = dialog;
    current?.showModal();
    return () => current?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      class="sheet"
      aria-labelledby={heading}
      onClose={onClose}
      onPointerDown={({ target }) => (isBeside.current = target === dialog.current)}
      onClick={({ target }) => {
        if (isBeside.current && target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="sheet-head">
        <h2 id={heading} class="grow" tabIndex={-1}>
          {title}
        </h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </button>
      </div>
      <div class="sheet-body">{children}</div>
    </dialog>
  );
}
