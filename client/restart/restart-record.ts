import type { LostChanges } from './lost-changes.ts';

/** A restart of the log that a device has not dealt with to the end. */
export interface RestartRecord extends LostChanges {
  /** `seq` up to which the device and the restored log have the same entries. */
  readonly agreed: number;
  /** The device applied, or joined with, a commit that is lost: it has no state of the group any more. */
  readonly isDead: boolean;
}
