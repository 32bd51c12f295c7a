import type { JSX } from 'preact';
import { Sheet } from '../../parts/sheet.tsx';
import { BACKUP, backupWords } from '../actions.ts';

interface RestoreDialogProps {
  readonly backup: { readonly takenAt: number } | null;
  readonly onAnswer: (isYes: boolean) => void;
}

/** Asks before the database goes back: it is the one button that concerns all conversations for good. */
export function RestoreDialog({ backup, onAnswer }: RestoreDialogProps): JSX.Element {
  return (
    <Sheet title="Restore the database?" onClose={() => onAnswer(false)}>
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
    </Sheet>
  );
}
