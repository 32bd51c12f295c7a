import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { BACKUP, backupWords } from '../actions.ts';

interface RestoreDialogProps {
  readonly backup: { readonly takenAt: number } | null;
  readonly onAnswer: (isYes: boolean) => void;
}

/** Asks before the database goes back: it is the one button that concerns all conversations for good. */
export function RestoreDialog({ backup, onAnswer }: RestoreDialogProps): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="sheet" aria-labelledby="restore-title" onClose={() => onAnswer(false)}>
      <div class="sheet-head">
        <h2 id="restore-title" class="grow">
          Restore the database?
        </h2>
      </div>
      <div class="sheet-body">
        <p>
          {backupWords(backup)} {BACKUP.restore.does}
        </p>
        <p>{BACKUP.restore.watch} What only windows knew that are closed by now comes back when they are open again.</p>
        <div class="row">
          <button type="button" class="button is-danger" onClick={() => onAnswer(true)}>
            Restore it
          </button>
          <button type="button" class="button" onClick={() => onAnswer(false)}>
            Leave it
          </button>
        </div>
      </div>
    </dialog>
  );
}
