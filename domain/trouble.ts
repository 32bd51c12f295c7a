/** Signs that a conversation is in trouble. Processes report them, and the supervisor looks for them. */
export const TROUBLE_SIGNS = [
  /** Its workflow tasks fail again and again. */
  'task-failures',
  /** Its updates time out while those of others succeed. */
  'timeouts',
  /** Its decisions fail again and again because Postgres does not answer. */
  'infrastructure',
  /** Its mailbox is full. */
  'mailbox-full',
  /** Its workflow and Postgres disagree. */
  'disagrees',
  /** What was due by time is long past. */
  'overdue',
  /** A session of the database holds its row. */
  'blocked',
] as const;
export type TroubleSign = (typeof TROUBLE_SIGNS)[number];
