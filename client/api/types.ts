// Names for the bodies and answers of the service. The types come from docs/openapi.json, by way of openapi.ts, which
// `npm run client-types` writes. Bytes are standard base64, times are RFC 3339.
import type { components, operations } from './openapi.ts';

type Operation = keyof operations;
type Json<Content> = Content extends { readonly content: { readonly 'application/json': infer Body } } ? Body : never;

/** JSON of the successful answer to an operation. */
export type Answer<Id extends Operation> = Json<
  operations[Id]['responses'][keyof operations[Id]['responses'] & (200 | 201 | 202)]
>;

/** JSON that an operation takes. */
export type Body<Id extends Operation> = Json<Exclude<operations[Id]['requestBody'], undefined>>;

type Query<Id extends Operation> = Exclude<operations[Id]['parameters']['query'], undefined>;

/** A type under a name of its own, which editors and the reference show in place of all that is in it. */
type Named<T> = { [K in keyof T]: T[K] };

/** A problem document (RFC 9457). */
export type Problem = Named<components['schemas']['Problem']>;
/** Stable name of a problem; docs/reference lists what each one means. */
export type ProblemCode = Problem['code'];

/** Position in a list that the service gives page by page. */
export type PageQuery = Named<Query<'listMembers'>>;
/** The same; with `changedSince` only the conversations that changed. */
export type ConversationsQuery = Named<Query<'listConversations'>>;
/** `after`: a `seq`, or a position, with which a log that was cut is told. */
export type LogQuery = Named<Omit<Query<'readEntries'>, 'after'> & { readonly after?: number | string }>;

/** Entries of a conversation's log, in order of `seq`. `next` is the value for `after`; it is absent at the end. */
export type LogPage = Named<Answer<'readEntries'>>;
/**
 * One entry of a conversation's log. `epoch` is the epoch of its frame: for a commit the epoch that the commit ends. `id`,
 * `ciphertext` and `at` are absent if the entry has expired. `sender` is absent for application messages of `mls`
 * conversations.
 */
export type Entry = Named<LogPage['entries'][number]>;
/** `application`, `commit` or `proposal`. */
export type EntryKind = Entry['kind'];

/** A fact about the life of a conversation, for operators. */
export type LifeEvent = components['schemas']['LifeEvent'];

/** Opens a stream in a browser's EventSource, as `?ticket=`. */
export type StreamTicket = Named<Answer<'makeStreamTicket'>>;

/** What a new conversation is made of. */
export type NewConversation = Named<Body<'createConversation'>>;
/** A conversation, as the service made it. */
export type Conversation = Named<Answer<'createConversation'>>;
/** One page of the conversations of a user. */
export type ConversationPage = Named<Answer<'listConversations'>>;
/** A conversation in the list of a user; with role `removed` for 30 days after the user's removal. */
export type ConversationSummary = Named<ConversationPage['conversations'][number]>;
/** `periods` are the ranges of `seq` that the user may read. */
export type ConversationDetails = Named<Answer<'getConversation'>>;
/** The role of the calling user. */
export type Role = ConversationDetails['role'];
/** The rules of a conversation. */
export type Policy = Named<ConversationDetails['policy']>;
/** Rules of a new conversation; a rule that is absent has its default. */
export type NewPolicy = Named<Exclude<NewConversation['policy'], undefined>>;
/** Rules to change; a rule that is absent stays, `null` ends a retention. */
export type PolicyChange = Named<Body<'changeConversation'>['policy']>;

/** `leaving` are the users who left and whose leaves no commit has removed yet. */
export type MemberPage = Named<Answer<'listMembers'>>;
/** A user of a conversation, with its role. */
export type Member = Named<MemberPage['members'][number]>;
/** The role that an admin gives a member. */
export type MemberRole = Body<'setRole'>['role'];
/** The commit that adds users, with its Welcome and GroupInfo. Only `opaque` conversations take users without a commit. */
export type MemberAddition = Named<Omit<Body<'addMembers'>, 'users'>>;
/** The commit that removes a user. Only `opaque` conversations remove without a commit. */
export type MemberRemoval = Named<Omit<Body<'removeMemberByPost'>, 'proposal'>>;
/** Leaving a conversation. In `mls` it needs the Remove proposal for the own leaf, which another member commits. */
export type Departure = Named<Omit<Body<'removeMemberByPost'>, 'commit' | 'groupInfo'>>;
/** The epoch after a change of the members, and the entry that made the change. */
export type MembershipChanged = Named<Answer<'addMembers'>>;

/** A commit with its Welcome, GroupInfo and membership changes. The service accepts all parts or none. */
export type CommitBundle = Named<Body<'commit'>>;
/** `epoch` is the new epoch. */
export type CommitAccepted = Named<Answer<'commit'>>;
/** The GroupInfo of the current epoch (RFC 9420 §12.4.3). */
export type CurrentGroupInfo = Named<Answer<'getGroupInfo'>>;

/** An application message or a proposal. */
export type OutgoingMessage = Named<components['schemas']['Message']>;
/** Result of one message of a list: its place in the log, or the problem with which the service refused it. */
export type SendOutcome = Named<Answer<'sendMessages'>['results'][number]>;
/** Place of a message in the log. `duplicate`: the service accepted this id with these bytes before. */
export type SendResult = Named<components['schemas']['SendResult']>;

/** What is left of an entry whose body was deleted. */
export type DeletedMessage = Named<Answer<'deleteMessage'>>;
/** Over all conversations of the user. */
export type UnreadTotals = Named<Answer<'countUnread'>>;

/** Position of the last processed entry, or its `seq`, by conversation id. */
export type Positions = Named<Body<'acknowledge'>['positions']>;
/** `positions`: what is stored now. `restarted`: conversations whose log does not go on from the position that was sent. */
export type Acknowledged = Named<Answer<'acknowledge'>>;

/** Key packages of one device that the service holds. `available` does not count the last resort. */
export type KeyPackageStock = Named<Answer<'countKeyPackages'>>;
/** MLSMessages with a KeyPackage, in base64. The service hands out `lastResort` again and again when no other is left. */
export type KeyPackageUpload = Named<Body<'uploadKeyPackages'>>;
/** How many key packages the device has now. */
export type KeyPackagesStored = Named<Answer<'uploadKeyPackages'>>;
/** `conversation` need not exist yet; by default all devices of the user except the calling one, and any cipher suite. */
export type ClaimRequest = Named<Body<'claimKeyPackages'>>;
/** `exhausted` are the devices that have no key package left. */
export type ClaimedKeyPackages = Named<Answer<'claimKeyPackages'>>;
/** Up to 1,000 users, each once. */
export type GroupClaimRequest = Named<Body<'claimGroupKeyPackages'>>;
/** By user in `claimed`, or in `missing`. */
export type GroupClaimed = Named<Answer<'claimGroupKeyPackages'>>;
/** A user of whom nothing was claimed, and why; `left-over`: ask again. */
export type MissingUser = Named<GroupClaimed['missing'][number]>;
/** A key package of one device, with its device id. */
export type ClaimedKeyPackage = Named<ClaimedKeyPackages['keyPackages'][number]>;

/** A device of the calling user, and how many key packages it has. */
export type Device = Named<Answer<'listDevices'>['devices'][number]>;

/** What the service offers for wake-ups, and what this device has registered. */
export type PushState = Named<Answer<'getPush'>>;
/** Where wake-ups of this device go: a subscription of a browser or of UnifiedPush, or a token that the app's gateway knows. */
export type PushTarget = Named<Body<'registerPush'>>;
/** How a message wakes devices that sleep. */
export type PushLevel = Exclude<OutgoingMessage['push'], undefined>;

/** Who may invite a user without asking first. */
export type ConsentMode = Answer<'getConsent'>['mode'];
/** Users who ask to invite the calling user. */
export type ConsentRequestPage = Named<Answer<'listConsentRequests'>>;

/** One page of Welcomes. */
export type WelcomePage = Named<Answer<'listWelcomes'>>;
/** A Welcome for this device that it has not acknowledged; `seq` and `epoch` are those of the commit that added it. */
export type PendingWelcome = Named<WelcomePage['welcomes'][number]>;

/** Says that the device cannot process the entry `seq`; `epoch` is the epoch of the device (RFC 9420 §8.7). */
export type Report = Named<Body<'reportEntry'>>;
/** `open`: enough members reported, so any member may reset the conversation. */
export type ReportTaken = Named<Answer<'reportEntry'>>;

/** Which part of the service applies operations, and for how many percent of the conversations. */
export type PathSetting = Named<Answer<'setPath'>>;
/** The same, with what the controller of `auto` does in the process that answered. */
export type PathState = Named<Answer<'getPath'>>;
/** One page of all conversations. */
export type ObservedConversationPage = Named<Answer<'adminListConversations'>>;
/** A conversation as an operator sees it. */
export type ObservedConversation = Named<ObservedConversationPage['conversations'][number]>;
/** The same, with the workflow that runs it. */
export type ObservedRun = Named<Answer<'adminGetConversation'>>;
/** Which conversations an operator wants to see. */
export type ObservedConversationQuery = Named<Query<'adminListConversations'>>;
/** Lines of the audit log, the newest first. */
export type AuditPage = Named<Answer<'listAudit'>>;
/** One line of the audit log. */
export type AuditEntry = Named<AuditPage['entries'][number]>;
/** Which lines of the audit log. */
export type AuditQuery = Named<Query<'listAudit'>>;
