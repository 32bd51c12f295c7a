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
/**
 * A page ends early after this many ciphertext bytes. It always has at least one entry. Making a page of this size stops the event
 * loop for some milliseconds, and all other requests wait meanwhile.
 */
export const MAX_PAGE_BYTES = 1024 * 1024;

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

// Elements of the lists in an MLS message. A list can become many objects, so the parser stops at these numbers. Lists of
// members, for example of proposals and new members, have at most as many elements as the largest conversation.

/**
 * Leaves of a ratchet tree, blank ones too: six devices for each member of the largest conversation. A blank leaf is one
 * byte in a body and two hashes for the service, so that their number needs a limit of its own.
 */
export const MAX_TREE_LEAVES = 65_536;
/** Parents above a leaf. A leaf index has 32 bits (RFC 9420 §7). */
export const MAX_PATH_NODES = 32;
/** Extensions in one list, values in one list of capabilities, and certificates in one chain. Clients send up to 20. */
export const MAX_MLS_LIST = 256;

export const MAX_EPOCH_WINDOW = 4;
export const MAX_RETENTION_DAYS = 3650;
/** A month: a longer time would leave a group without anybody who may vote. */
export const MAX_VOTE_HOURS = 720;
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
/** Values in one JSON body. The largest request adds and removes 10,000 members each. */
export const MAX_JSON_VALUES = 25_000;
/** Nesting of arrays and objects in a JSON body. No request needs more than 4. */
export const MAX_JSON_DEPTH = 32;
/** Characters from which on a string can only be bytes in base64: no other field accepts as many. */
export const MIN_LONG_STRING = 1024;

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

/**
 * Requests of one user that an API process serves at a time. A busy device needs a handful; with this number one user sends
 * some thousand messages a second, and a request of another user waits for at most as many steps of the event loop.
 */
export const REQUESTS_PER_USER = 64;
/** Requests of one user that wait for their turn behind these. Each needs some kilobytes. */
export const WAITING_REQUESTS_PER_USER = 1000;
/** Heavy requests of one user that are served at a time: large bodies, and answers that may be large. */
export const HEAVY_REQUESTS_PER_USER = 2;
/** A body above this size is heavy. A list of 100 short messages is not. */
export const HEAVY_BODY_BYTES = 64 * 1024;
/**
 * A heavy request keeps its turn for at most this time. What takes longer waits for its client or for a decision, costs little CPU
 * time meanwhile, and must not keep the other devices of its user waiting.
 */
export const HEAVY_TURN_MS = 2000;

/** Staged bytes of one user that wait for a decision. Above this the answer is 429. */
export const STAGED_BYTES_PER_USER = 64 * 1024 * 1024;
/** Explicit increments of one user that are stored and not counted yet, over all conversations. Above this the answer is 429. */
export const PENDING_INCREMENTS_PER_USER = 1000;

/** A stream ticket must be used for the first time within this time. */
export const STREAM_TICKET_MS = 30_000;
/** Stream tickets of one user. Of more, those go that were made or used longest ago. */
export const STREAM_TICKETS_PER_USER = 200;

/**
 * Leaf signatures that one job verifies: 0.03 to 0.5 s of CPU time, by the cipher suite. The rest of a tree goes to further
 * jobs, between which other users have their turns.
 */
export const MAX_LEAVES_PER_JOB = 256;
/**
 * Jobs that wait for a thread (`compute/`), in one process. A job of a large tree takes half a second, so the last of many
 * would wait longer than its request anyway.
 */
export const MAX_WAITING_JOBS = 256;
/** Bytes of their inputs, which are in memory meanwhile. */
export const MAX_WAITING_JOB_BYTES = 128 * 1024 * 1024;
/** Part of both limits that one user may have: 32 jobs, and two commits of the largest size. */
export const WAITING_JOBS_SHARE = 1 / 8;
/** A job that takes longer ends. Below the default deadline of a request; the largest allowed input takes less. */
export const MAX_JOB_MS = 8000;
/** Heap of one thread. The largest allowed input needs a third of it. */
export const MAX_THREAD_HEAP_MB = 256;

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
/** Devices of a user that its clients name themselves. Everybody who claims key packages of the user pays for each. */
export const MAX_DEVICES_PER_USER = 100;
/** Devices in one claim. */
export const MAX_DEVICES_PER_CLAIM = 100;
/** Users in one claim for many: a group of the default size. */
export const MAX_USERS_PER_CLAIM = 1000;
/** Devices in the answer of one claim for many users. They are locked together, for some milliseconds for each hundred. */
export const MAX_DEVICES_PER_GROUP_CLAIM = 5000;
/**
 * Bytes of the key packages in that answer: five devices of a thousand users with packages of the usual 400 bytes. To make a larger
 * answer would stop the event loop for too long.
 */
export const MAX_GROUP_CLAIM_BYTES = 2 * 1024 * 1024;
/** The clock of a device may be ahead of ours by this much. */
export const KEY_PACKAGE_CLOCK_SKEW_MS = 5 * 60_000;

/** Newest proposals of an epoch in which the references of an external commit are looked up. */
export const MAX_REFERENCED_PROPOSALS = 1000;

/** Positions that one request has compared with a log. */
export const MAX_COMPARED_POSITIONS = 64;

/** Conversations in one acknowledgement. They fit in one SQL statement and are far below the body limit. */
export const MAX_POSITIONS_PER_REQUEST = 1000;

/** Conversations of a user over which unread counts are added up. */
export const MAX_UNREAD_CONVERSATIONS = 10_000;

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
/**
 * Claims of one key package by others that a commit looks at. A single-use package has one; of the many of a last resort the
 * newest count.
 */
export const CLAIMS_LOOKED_AT = 20;
/** Leaves of a conversation in memory that a tree had once, and later ones have not. */
export const MAX_LEFT_OUT = 1000;
/** The time in which one claimer's packages count against its limit per minute. */
export const CLAIM_RATE_MS = 60_000;
/** A member has a vote on a reset when it was proven for so many hours, where the policy says nothing else. */
export const DEFAULT_VOTE_HOURS = 24;

/** Hours after which only commits that obey a removal are accepted, in a policy that states none. */
export const DEFAULT_REMOVAL_HOURS = 24;
/** Requests of a device that were at work when it was cut off may bring a leaf up to so much later. */
export const CUT_OFF_GRACE_MS = 15_000;
/** The longest that a policy may state: a year. */
export const MAX_REMOVAL_HOURS = 8760;
/**
 * While no member has followed an outsider who joined by an external commit, other outsiders wait for this time at most.
 * Members with an open stream follow within seconds.
 */
export const OUTSIDER_TRIAL_MS = 10 * 60_000;
/** Requests to join that may be pending in an epoch. Each costs every member, and a commit that takes in all of them is large. */
export const MAX_JOIN_REQUESTS = 64;
/** `Retry-After` where a commit must come first. Outsiders do not see it come. */
export const JOIN_REQUEST_RETRY_MS = 60_000;
/** Users whom the admins of a conversation can bar. Each is a row that its successors copy. */
export const MAX_BARS = 1000;
/** Rows that one user can cause in the audit, of one action in one conversation, within the time below. */
export const MAX_AUDITS = 20;
export const AUDIT_WINDOW_MS = 24 * 3_600_000;
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

/** Users in one change of a conversation up to which account streams send an event for each; above, one event with their number. */
export const MAX_MEMBER_EVENTS = 10;

/**
 * Welcomes of one inviter that may wait for one device. More than somebody is invited to by one person in a holiday; a device that is
 * in use empties its inbox all the time.
 */
export const MAX_WELCOMES_PER_INVITER = 32;
/** Bytes of them. The largest Welcome that a request can hold fits. */
export const MAX_WELCOME_BYTES_PER_INVITER = 8 * 1024 * 1024;
/** Welcomes in the inbox of one device. One more takes a place from whoever holds most. */
export const MAX_INBOX_WELCOMES = 512;
/** Bytes of them: four inviters with a full share. */
export const MAX_INBOX_BYTES = 32 * 1024 * 1024;
/**
 * Memberships that somebody may put on a user who does not know them, in `INVITATION_PERIOD_MS`, as long as the user does not act in
 * them. A bot that shows a new colleague all rooms of a company stays below.
 */
export const MAX_UNKNOWN_INVITATIONS = 500;
export const INVITATION_PERIOD_MS = 24 * 3_600_000;
/** Users of one commit up to which each has a lock of its own. The database has room for some thousands. */
export const MAX_INVITATION_LOCKS = 16;
/** Users up to which the Welcomes of a conversation for them are looked up in their inboxes, if the conversation has many. */
export const MAX_INBOX_LOOK_UPS = 16;
/** Waiting Welcomes of a conversation from which on inboxes are shorter. Below, it reads them all. */
export const MANY_WELCOMES = 64;
/** `Retry-After` where Welcomes must be taken up first. Nobody knows when that will be. */
export const WELCOME_QUOTA_RETRY_MS = 3_600_000;
/** Pending requests for consent of one user. One more replaces the oldest. */
export const MAX_CONSENT_REQUESTS = 100;
/** Pending requests for consent that one user has made. Above, further ones are not recorded. */
export const MAX_CONSENT_REQUESTS_PER_ASKER = 50;
/** A request for consent that was not answered is gone after this time. */
export const CONSENT_REQUEST_LIFETIME_MS = 30 * 86_400_000;
/** Days after which a conversation is deleted that everybody left, where the policy says nothing else. */
export const DEFAULT_ABANDONED_DAYS = 30;
// Signals (docs/how-to/signals.md).

/** Bytes of one signal. As base64 it fits into one notification of Postgres, of at most 8000 bytes, with all that goes with it. */
export const MAX_SIGNAL_BYTES = 4096;
export const BODY_LIMIT_SIGNALS = 8192;
/** Signals that wait in one process to be sent to all processes; more are refused. */
export const MAX_UNSENT_SIGNALS = 256;
/** A signal that waited longer is refused: it would tell of something that is over. */
export const MAX_SIGNAL_WAIT_MS = 1000;
/** Bytes of signals that one process sends in a second, so that they cannot fill the queue of notifications. */
export const SIGNAL_BYTES_PER_SECOND = 1024 * 1024;
/** Signals of one conversation that wait in one process for their turn to be written to streams. Of more, the oldest go. */
export const MAX_WAITING_SIGNALS = 64;
/** Characters of all signals that wait in one process for that. */
export const MAX_WAITING_SIGNAL_CHARACTERS = 1024 * 1024;

// Streams of facts about a conversation (docs/explanation/life.md). Each conversation that is watched costs reads all the time.

/** In one process. */
export const MAX_LIFE_STREAMS = 50;
/** Of one operator in one process. */
export const MAX_LIFE_STREAMS_PER_OPERATOR = 10;

// Wake-ups (docs/explanation/wake-ups.md).

/** Push targets of one user. A new one replaces the oldest. */
export const MAX_PUSH_TARGETS = 20;
/** Conversations that one device mutes. */
export const MAX_MUTED_CONVERSATIONS = 1000;
export const MAX_PUSH_ENDPOINT_CHARACTERS = 2048;
export const MAX_PUSH_TOKEN_CHARACTERS = 4096;
export const MAX_PUSH_APP_CHARACTERS = 64;
/** A device with an open stream has this time to acknowledge an entry before it is woken for it. */
export const PUSH_HOLD_MS = 5000;
/** From one look at a conversation to the next one. */
export const PUSH_PAUSE_MS = 1000;
/** The same as a multiple of the time that the look took. */
export const PUSH_REST = 50;
/** Devices that one look at a conversation wakes. The next look wakes more. */
export const MAX_PUSH_BATCH = 500;
/** A device is woken so often in the long run: nobody can empty its battery. */
export const PUSH_INTERVAL_MS = 15_000;
/** And this far ahead of that pace: 20 times. */
export const PUSH_BURST_MS = 19 * PUSH_INTERVAL_MS;
/** A wake-up that its process has not reported by then is sent again. Longer than every try. */
export const PUSH_LEASE_MS = 60_000;
/** After this time a wake-up is worth nothing: push services drop it, nobody tries to send it, and its device may be woken again. */
export const PUSH_LIFETIME_MS = 24 * 3_600_000;
