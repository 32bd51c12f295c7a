// The public edge of the client library: an app imports everything from here, and nothing from the files behind it.
export type {
  AccountEvent,
  ConversationChanged,
  FollowAllOptions,
  InConversation,
  ManyMembersChanged,
  MemberChanged,
} from './api/account-stream.ts';
export type { LiveOptions } from './api/server-sent-events.ts';
export { AdminClient } from './api/admin-client.ts';
export type { FollowOptions, StreamEvent } from './api/conversation-stream.ts';
export type { Http, HttpOptions, Method, RequestOptions } from './api/http.ts';
export { createHttp } from './api/http.ts';
export { ParleyClient } from './api/parley-client.ts';
export type { KnownConversations, SyncedConversations } from './api/sync-conversations.ts';
export { syncConversations } from './api/sync-conversations.ts';
export type { EpochConflict } from './api/problem.ts';
export { epochConflict, hasCode, ProblemError, successorOf } from './api/problem.ts';
export type {
  Acknowledged,
  AuditEntry,
  AuditPage,
  AuditQuery,
  ClaimedKeyPackage,
  ClaimedKeyPackages,
  ClaimRequest,
  ConsentMode,
  ConsentRequestPage,
  CommitAccepted,
  CommitBundle,
  Conversation,
  ConversationDetails,
  ConversationPage,
  ConversationsQuery,
  ConversationSummary,
  CurrentGroupInfo,
  DeletedMessage,
  Departure,
  Device,
  Entry,
  EntryKind,
  GroupClaimed,
  GroupClaimRequest,
  KeyPackagesStored,
  KeyPackageStock,
  KeyPackageUpload,
  LifeEvent,
  LogPage,
  LogQuery,
  Member,
  MemberAddition,
  MemberPage,
  MemberRemoval,
  MemberRole,
  MembershipChanged,
  MissingUser,
  NewConversation,
  NewPolicy,
  ObservedConversation,
  ObservedConversationPage,
  ObservedConversationQuery,
  ObservedRun,
  OutgoingMessage,
  PageQuery,
  PathSetting,
  PathState,
  PendingWelcome,
  Policy,
  PolicyChange,
  Positions,
  PushLevel,
  PushState,
  PushTarget,
  Problem,
  ProblemCode,
  Report,
  ReportTaken,
  Role,
  SendOutcome,
  SendResult,
  StreamTicket,
  UnreadTotals,
  WelcomePage,
} from './api/types.ts';
export type {
  Added,
  Chat,
  ChatConversation,
  ChatEvents,
  ChatMember,
  ChatMessage,
  ChatState,
  MessageState,
  NewChatOptions,
  NewMessageOptions,
  Safety,
} from './chat/chat.ts';
export type { ChatOptions } from './chat/open-chat.ts';
export { openChat } from './chat/open-chat.ts';
export type { TabChannel } from './tabs/channel.ts';
export type { Locks } from './tabs/locks.ts';
export type { SharedChatOptions } from './tabs/shared-chat.ts';
export { openSharedChat } from './tabs/shared-chat.ts';
export { wakeUp } from './tabs/wake-up.ts';
export type { ForkSuspected, LogAltered, LogEvent, LogRestarted, MessageFound, StaleBranch } from './chain/events.ts';
export { LogAlteredError } from './chain/known-chain.ts';
export type { ChainPosition } from './chain/position.ts';
export { positionText } from './chain/position.ts';
export type { Judgement } from './chain/statements.ts';
export type { AuthenticationService, KeyHolder } from './device/authentication.ts';
export { trustOnFirstUse } from './device/authentication.ts';
export type { DeviceApi, DeviceOptions } from './device/device.ts';
export { MlsDevice } from './device/device.ts';
export type { KeyPackagePool } from './device/key-packages.ts';
export type { Invitation } from './device/invite.ts';
export { UntrustedDeviceError } from './device/claims.ts';
export type { LiveRunOptions, MessageListener, SignalListener } from './device/live-run.ts';
export { IdentityChangedError } from './group/commit-check.ts';
export { UnprocessableEntry } from './group/group-log.ts';
export type { ReceivedSignal } from './group/group-signals.ts';
export type { RejoinReason } from './group/group-repair.ts';
export { RestartPendingError } from './group/group-restart.ts';
export type { OutboxMessage, SendOptions } from './group/group-messages.ts';
export type { GroupApi, MlsGroup } from './group/group.ts';
export { ForeignSuccessorError } from './group/group.ts';
export type { Change, Plan } from './group/changes.ts';
export { GroupRefusesJoinersError, OldGroupInfoError } from './group/joining.ts';
export type { JoinRequest } from './group/proposals.ts';
export type { LostAdd, LostRemoval } from './restart/lost-changes.ts';
export type { RestartRecord } from './restart/restart-record.ts';
export { fromBase64, newId, sha256Hex, toBase64, toBase64Url } from './platform/bytes.ts';
export type { DeviceStore, StoreChange } from './storage/device-store.ts';
export { memoryStore } from './storage/device-store.ts';
export { indexedDbStore } from './storage/indexed-db-store.ts';
export type { LostMark, QueuedMessage, ReceivedMessage } from './storage/group-store.ts';
