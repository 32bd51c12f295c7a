/** Limits that every part agrees on. Sizes in bytes, times in milliseconds; each number carries its reason. */

/** Operations of one update: 256 reached 10,000 messages/s on a hot conversation, 100 half of it. */
export const MAX_BATCH_OPERATIONS = 256;
/** Ciphertext bytes of one batch: the deciding transaction copies them under the conversation's lock. */
export const MAX_BATCH_BYTES = 8 * 1024 * 1024;
/** Messages of one HTTP request in list form. */
export const MAX_MESSAGES_PER_REQUEST = 100;
/** Entries of one page. */
export const MAX_PAGE = 1000;
export const DEFAULT_PAGE = 100;
/** Ciphertext bytes after which a page ends early; it always holds one entry. */
export const MAX_PAGE_BYTES = 4 * 1024 * 1024;

/** `group_id` bytes: 1 to 64; 16 or more in `mls` conversations, so that ids cannot be guessed or clash. */
export const MAX_GROUP_ID_BYTES = 64;
export const MIN_MLS_GROUP_ID_BYTES = 16;
export const MAX_USER_ID_CHARACTERS = 255;
export const MAX_DEVICE_ID_CHARACTERS = 255;
export const MAX_MESSAGE_ID_CHARACTERS = 128;
/** Epochs and sequence numbers travel as JSON numbers. */
export const MAX_SAFE_EPOCH = Number.MAX_SAFE_INTEGER;

export const MIN_MEMBERS_LIMIT = 2;
export const DEFAULT_MAX_MEMBERS = 1000;
export const MAX_MEMBERS_LIMIT = 10_000;
export const MAX_EPOCH_WINDOW = 4;
export const MAX_RETENTION_DAYS = 3650;
/** One increment signal adds at most this much. */
export const MAX_INCREMENT = 1_000_000;

/** Why a member cannot go on, or an operator acts: text for people. */
export const MAX_REASON_CHARACTERS = 500;
/** An epoch authenticator is as long as a hash (RFC 9420 §8.7). */
export const MAX_EPOCH_AUTHENTICATOR_BYTES = 64;

/** HTTP body limits (413 above): base64 makes bytes a third larger. */
export const BODY_LIMIT_MESSAGES = 1024 * 1024;
export const BODY_LIMIT_COMMITS = 8 * 1024 * 1024;
export const BODY_LIMIT_DEFAULT = 256 * 1024;

/** All devices of a user together may do so many times what one may: a phone and a computer, both at work. */
export const RATE_LIMIT_DEVICES = 2;
/** A reservation of a commit race delays the others by at most this much: no one notices, and a slow client can use it. */
export const MAX_RESERVATION_MS = 300;

/** Bytes one user may have staged and undecided; over it, 429. */
export const STAGED_BYTES_PER_USER = 64 * 1024 * 1024;

/** Key packages of one upload; each costs two signature checks. */
export const MAX_KEY_PACKAGES_PER_UPLOAD = 100;
/** Room for a post-quantum signature and a long identity; what ts-mls makes has some 400. */
export const MAX_KEY_PACKAGE_BYTES = 16 * 1024;
/** Key packages that one device may have in store beside the last resort; over it, 429 until some are claimed. */
export const MAX_KEY_PACKAGES_PER_DEVICE = 500;
/** A device with fewer in store is asked for more. */
export const LOW_STOCK_KEY_PACKAGES = 5;
/** Unused single-use packages of one device that one claimer may hold from the last 24 hours. */
export const MAX_HELD_KEY_PACKAGES = 20;
/** The same, with those that commits have used: whoever adds and removes in turn does not drain a pool either. */
export const MAX_CLAIMED_KEY_PACKAGES = 40;
/** Devices that one claim may name. */
export const MAX_DEVICES_PER_CLAIM = 100;
/** How far the clock of a device may run ahead of ours. */
export const KEY_PACKAGE_CLOCK_SKEW_MS = 5 * 60_000;

/** Conversations of one acknowledgement: one statement, and well below the body limit. */
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
/** Reports that members are stuck count for this time. */
export const REPORT_LIFETIME_MS = 7 * 86_400_000;
/** Conversations that a user left stay in its list for this time. */
export const FORMER_MEMBER_LIFETIME_MS = 30 * 86_400_000;
/** A device that was not seen for this time holds back no retention. */
export const DEVICE_ACTIVITY_MS = 30 * 86_400_000;
/** Entries that a device still needs are kept for so many times `retentionDays`, where the policy says nothing else. */
export const COMMIT_RETENTION_FACTOR = 4;
