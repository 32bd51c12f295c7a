/**
 * Limits for all parts of Parley. Sizes are in bytes and times in milliseconds. The comments give the reason for each
 * number.
 */

/** Operations in one batch. A busy conversation reached 10,000 messages/s with 256, and half of that with 100. */
export const MAX_BATCH_OPERATIONS = 256;
/** Ciphertext bytes in one batch. The deciding transaction copies them while it holds the lock of the conversation. */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** Messages in one HTTP request with a list of messages. */
export const MAX_MESSAGES_PER_REQUEST = 100;
/** Log entries in one page. */
export const MAX_PAGE = 1000;
export const DEFAULT_PAGE = 100;
/** A page ends early after this many ciphertext bytes. It always has at least one entry. */
export const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/**
 * Bytes of a `group_id`: 1 to 64. In `mls` conversations 16 or more, so that ids cannot be guessed and do not collide.
 */
export const MAX_GROUP_ID_BYTES = 64;
export const MIN_MLS_GROUP_ID_BYTES = 16;
export const MAX_USER_ID_CHARACTERS = 255;
export const MAX_DEVICE_ID_CHARACTERS = 255;
export const MAX_MESSAGE_ID_CHARACTERS = 128;
/** Epochs and sequence numbers are sent as JSON numbers. */
export const MAX_SAFE_EPOCH = Number.MAX_SAFE_INTEGER;

export const MIN_MEMBERS_LIMIT = 2;
export const DEFAULT_MAX_MEMBERS = 1000;
export const MAX_MEMBERS_LIMIT = 10_000;
/**
 * Leaves of a ratchet tree, blank ones too: six devices for each member of the largest conversation. A blank leaf is one
 * byte in a body and two hashes for the service, so that their number needs a limit of its own.
 */
export const MAX_TREE_LEAVES = 65_536;
export const MAX_EPOCH_WINDOW = 4;
export const MAX_RETENTION_DAYS = 3650;
/** Maximum amount of one increment signal. */
export const MAX_INCREMENT = 1_000_000;

/** Length of a reason: the text of a member's report or of an operator's action. */
export const MAX_REASON_CHARACTERS = 500;
/** An epoch authenticator has the length of a hash (RFC 9420 §8.7). */
export const MAX_EPOCH_AUTHENTICATOR_BYTES = 64;

/** Limits of HTTP bodies; above them the answer is 413. Base64 makes the bytes in a body a third larger. */
export const BODY_LIMIT_MESSAGES = 1024 * 1024;
export const BODY_LIMIT_COMMITS = 8 * 1024 * 1024;
export const BODY_LIMIT_DEFAULT = 256 * 1024;

/**
 * All devices of a user together may send this many times the limit of one device: enough for a busy phone and a busy
 * computer.
 */
export const RATE_LIMIT_DEVICES = 2;
/**
 * Longest reservation for the loser of a commit race. Other users do not notice this delay, and a slow client can use
 * it.
 */
export const MAX_RESERVATION_MS = 300;

/** Staged bytes of one user that wait for a decision. Above this the answer is 429. */
export const STAGED_BYTES_PER_USER = 64 * 1024 * 1024;

/** Key packages in one upload. Each needs two signature checks. */
export const MAX_KEY_PACKAGES_PER_UPLOAD = 100;
/** Enough for a post-quantum signature and a long identity. Key packages of ts-mls have about 400 bytes. */
export const MAX_KEY_PACKAGE_BYTES = 16 * 1024;
/**
 * Unclaimed key packages of one device, without the last resort. Above this the answer is 429 until some are claimed.
 */
export const MAX_KEY_PACKAGES_PER_DEVICE = 500;
/** A device with fewer unclaimed key packages is asked to upload more. */
export const LOW_STOCK_KEY_PACKAGES = 5;
/** Single-use packages of one device that one user may have claimed in the last 24 hours without using them. */
export const MAX_HELD_KEY_PACKAGES = 20;
/**
 * The same limit including used packages, so that adding and removing a device again and again does not empty its pool.
 */
export const MAX_CLAIMED_KEY_PACKAGES = 40;
/** Devices in one claim. */
export const MAX_DEVICES_PER_CLAIM = 100;
/** The clock of a device may be ahead of ours by this much. */
export const KEY_PACKAGE_CLOCK_SKEW_MS = 5 * 60_000;

/** Conversations in one acknowledgement. They fit in one SQL statement and are far below the body limit. */
export const MAX_POSITIONS_PER_REQUEST = 1000;

// The numbers below are also constants of the SQL functions: `npm run sql-files` writes store/limits.sql from them.

/** Proposals of one user in an epoch: more could not be in one commit anyway, and each costs every member. */
export const MAX_PROPOSALS_PER_EPOCH = 3;
/** Application messages in a row from which on one statement decides them all; below, one by one is faster. */
export const MIN_MESSAGE_RUN = 8;
/** Lost and accepted commits count for each other within this time. */
export const COMMIT_CONTENTION_MS = 10_000;
/** Lost commits in a row that give a reservation. */
export const LOST_COMMITS_FOR_RESERVATION = 3;
/** Time from one reservation of a user to the next. */
export const RESERVATION_PAUSE_MS = 60_000;
/** Accepted commits within the contention time from which on a user must pause for others who lose. */
export const ACCEPTED_COMMITS_FOR_BACKOFF = 5;
/** The pause after one lost commit of another user is twice this; it doubles with each further one. */
export const COMMIT_BACKOFF_MS = 1000;
export const MAX_COMMIT_BACKOFF_MS = 5000;
/** A Welcome that no device took up is deleted. */
export const WELCOME_LIFETIME_MS = 30 * 86_400_000;
/** A claim binds a key package to its claimer for this time. */
export const CLAIM_LIFETIME_MS = 24 * 3_600_000;
/** The time in which one claimer's packages count against its limit per minute. */
export const CLAIM_RATE_MS = 60_000;
/** A computed ratchet tree waits for the decision about its commit. Longer than any request. */
export const COMPUTED_TREE_LIFETIME_MS = 60_000;
/** Reports that members are stuck count for this time. */
export const REPORT_LIFETIME_MS = 7 * 86_400_000;
/** Conversations that a user left stay in its list for this time. */
export const FORMER_MEMBER_LIFETIME_MS = 30 * 86_400_000;
/** A device that was not seen for this time holds back no retention. */
export const DEVICE_ACTIVITY_MS = 30 * 86_400_000;
/** Entries that a device still needs are kept for so many times `retentionDays`, where the policy says nothing else. */
export const COMMIT_RETENTION_FACTOR = 4;
