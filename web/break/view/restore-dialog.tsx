import type { JSX, TargetedEvent } from 'preact';
import { Sheet } from '../../parts/sheet.tsx';
import { BACKUP, backupWords } from '../actions.ts';

interface RestoreDialogProps {
  readonly backup: { readonly takenAt: number } | null;
  readonly onAnswer: (isYes: boolean) => void;
}

/** Asks before the database goes back: it is the one button that concerns all conversations for good. */
export function RestoreDialog({ backup, onAnswer }: RestoreDialogProps): JSX.Element {
  // Before it is taken away: only a dialog that is there gives the focus back.
  const close = ({ currentTarget }: TargetedEvent<HTMLButtonElement>): void => currentTarget.closest('dialog')?.close();
  return (
    <Sheet title="Restore the database?" onClose={() => onAnswer(false)}>
      <p>
        {backupWords(backup)} {BACKUP.restore.does}
      </p>
      <p>{BACKUP.restore.watch} What only windows knew that are closed by now comes back when they are open again.</p>
      <div class="row">
        <button
          type="button"
          class="button is-danger"
          onClick={(event) => {
            close(event);
            onAnswer(true);
          }}
        >
          Restore it
        </button>
        <button type="button" class="button" onClick={close}>
          Leave it
        </button>
      </div>
    </Sheet>
  );
}
