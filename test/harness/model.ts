import type { Outcome, Refused } from '../../domain/outcome.ts';
import type { Policy, Who } from '../../domain/policy.ts';
import { type Protocol, type Request, sha256 } from './requests.ts';

const UNPROVEN =
  'Somebody whom the commit adds is a member that has not acted yet: only who may add members can add its devices';
const BARRED = 'An admin has barred a user whom the commit adds: only an admin can add it again';
const OTHERS_WELCOME = 'A Welcome of somebody else waits for this device, and you may not add users';
const TOO_MANY_PROPOSALS = 'At most 3 proposals of a user in an epoch: the next commit makes room';

/** An entry of the model's log. */
export interface ModelEntry {
  readonly seq: number;
  readonly kind: 'application' | 'commit' | 'proposal';
  readonly epoch: number;
  readonly id: string;
  readonly body: string;
  readonly sender: string;
  /** Of a commit: what makes it the same request again. */
  readonly change: string;
}

interface Stay {
  readonly from: number;
  to?: number;
}

/** A user who is or was a member. */
export interface ModelMember {
  role: 'admin' | 'member';
  state: 'member' | 'leaving' | 'removed';
  /** Last entry that a former member may read. */
  leftSeq: number;
  leftEpoch: number;
  /** The policy as a former member saw it last. */
  leftPolicy?: Policy;
  readSeq: number;
  increments: number;
  /** Acted under its own token since it joined. */
  isProven: boolean;
  /** 0 = since the creation. */
  readonly joinedSeq: number;
  readonly stays: Stay[];
}

interface Answer {
  readonly request: string;
  readonly outcome: Outcome;
}

type Of<K extends Request['kind']> = Extract<Request, { kind: K }>;

/**
 * A conversation as the design describes it, kept in plain objects and decided one request at a time. It counts nothing in
 * advance: unread, limits and positions are found by looking through the log, so that it shares no idea with the store.
 */
export class Model {
  readonly protocol: Protocol;
  readonly log: ModelEntry[] = [];
  readonly members = new Map<string, ModelMember>();
  epoch: number;
  policy: Policy;
  readonly barred = new Set<string>();
  /** Who sent the Welcome that waits for a user. */
  readonly #welcomed = new Map<string, string>();
  readonly #answers = new Map<string, Answer>();

  constructor(options: {
    protocol: Protocol;
    creator: string;
    members: readonly string[];
    policy: Policy;
    epoch?: number;
  }) {
    this.protocol = options.protocol;
    this.policy = options.policy;
    this.epoch = options.epoch ?? 0;
    for (const user of new Set([...options.members, options.creator])) {
      this.members.set(user, newMember(user === options.creator ? 'admin' : 'member', { from: 1 }, 0));
    }
    this.#prove(options.creator);
  }

  get lastSeq(): number {
    return this.log.length;
  }

  get memberCount(): number {
    return this.currentMembers().length;
  }

  currentMembers(): string[] {
    return [...this.members].filter(([, member]) => member.state === 'member').map(([user]) => user);
  }

  /** Application entries after the read position, plus explicit increments (invariant 7). */
  unread(user: string): number {
    const member = this.members.get(user);
    if (member?.state !== 'member') return 0;
    const after = this.log.filter((entry) => entry.kind === 'application' && entry.seq > member.readSeq);
    return after.length + member.increments;
  }

  /** What a user may read (invariant 8). */
  readable(user: string): ModelEntry[] {
    const stays = this.members.get(user)?.stays ?? [];
    return this.log.filter(({ seq }) => stays.some(({ from, to }) => seq >= from && seq <= (to ?? Infinity)));
  }

  /** Decides one request at a time `now`, in milliseconds since 1970. */
  apply(request: Request, now: number): Outcome {
    switch (request.kind) {
      case 'message':
        return this.#message(request, now);
      case 'commit':
        return this.#commit(request, now);
      case 'leave':
        return this.#leave(request, now);
      default:
        return this.#other(request, now);
    }
  }

  #message(request: Of<'message'>, now: number, leaves = false): Outcome {
    const member = this.members.get(request.actor);
    if (member === undefined) return refused('not-found');
    const kind = request.type ?? 'application';
    const earlier = this.log.find((entry) => entry.id === request.id);
    if (earlier !== undefined) {
      // The log of an mls conversation does not say who sent an application message.
      const sameSender = earlier.sender === request.actor || (this.protocol === 'mls' && kind === 'application');
      if (earlier.kind === kind && earlier.body === request.body && sameSender) {
        return { status: 'duplicate', seq: earlier.seq, epoch: earlier.epoch };
      }
      return formerly(member) ?? refused('id-reused');
    }
    const early = formerly(member) ?? late(request, now);
    if (early !== undefined) return early;

    const epoch = request.epoch ?? this.epoch;
    if (kind === 'proposal') {
      if (!leaves && !allows(this.policy.whoMayPropose, member)) return refused('not-allowed');
      if (epoch > this.epoch) return this.#wrongEpoch('epoch-ahead', epoch);
      if (epoch < this.epoch) return this.#wrongEpoch('proposal-stale', epoch);
      const open = this.log.filter((e) => e.kind === 'proposal' && e.sender === request.actor && e.epoch === epoch);
      if (!leaves && open.length >= 3) return { ...refused('rate-limited'), detail: TOO_MANY_PROPOSALS };
    } else {
      if (epoch > this.epoch) return this.#wrongEpoch('epoch-ahead', epoch);
      if (epoch < this.epoch - this.policy.epochWindow) return this.#wrongEpoch('epoch-too-old', epoch);
    }
    const seq = this.#append({ kind, epoch, id: request.id, body: request.body, sender: request.actor, change: '' });
    if (kind === 'application') member.readSeq = seq;
    member.isProven = true;
    return { status: 'accepted', seq, epoch };
  }

  #commit(request: Of<'commit'>, now: number): Outcome {
    const actor = this.members.get(request.actor);
    if (actor === undefined) return refused('not-found');
    const adds = [...new Set(request.adds)].sort();
    const removes = [...new Set(request.removes)].sort();
    const body = request.body ?? '';
    const change = JSON.stringify([body, adds, removes]);
    const isSame = (e: ModelEntry): boolean => e.kind === 'commit' && e.sender === request.actor && e.change === change;
    const byId = this.log.find((entry) => entry.id === request.id);
    // Without a common id the bytes tell a retry.
    const earlier = byId ?? this.log.find((e) => body !== '' && e.epoch === request.epoch && isSame(e));
    if (earlier !== undefined) {
      if (!isSame(earlier)) return formerly(actor) ?? refused('id-reused');
      return { status: 'duplicate', ...committed(earlier) };
    }
    const answered = this.#answered('commit', request.id, request.actor, change, actor);
    const early = answered ?? formerly(actor) ?? late(request, now);
    if (early !== undefined) return early;
    if (this.protocol === 'mls' && body === '') return refused('commit-required');

    const joining = adds.filter((user) => this.members.get(user)?.state !== 'member');
    const finished = (user: string): boolean => this.members.get(user)?.state === 'leaving';
    const isUnproven = (user: string): boolean =>
      user !== request.actor && !joining.includes(user) && this.members.get(user)?.isProven === false;
    if (!allows(this.policy.whoMayAdd, actor)) {
      if (joining.length > 0) return refused('not-allowed');
      if (adds.some(isUnproven)) return { ...refused('not-allowed'), detail: UNPROVEN };
    }
    if (actor.role !== 'admin' && joining.some((user) => this.barred.has(user))) {
      return { ...refused('not-allowed'), detail: BARRED };
    }
    if (!allows(this.policy.whoMayRemove, actor) && !removes.every(finished)) return refused('not-allowed');

    if (request.epoch !== undefined && request.epoch > this.epoch)
      return this.#wrongEpoch('epoch-ahead', request.epoch);
    if (request.epoch !== undefined && request.epoch < this.epoch) return this.#conflict(request.epoch);

    const inGroup = (user: string): boolean => ['member', 'leaving'].includes(this.members.get(user)?.state ?? '');
    if (!removes.every(inGroup) || removes.includes(request.actor) || removes.some((user) => adds.includes(user))) {
      return refused(body === '' ? 'not-found' : 'membership-mismatch');
    }
    if (body === '' && joining.length === 0 && removes.length === 0) {
      return this.#remember('commit', request.id, request.actor, change, {
        status: 'accepted',
        seq: this.lastSeq,
        epoch: this.epoch,
      });
    }
    const isOthers = (user: string): boolean => (this.#welcomed.get(user) ?? request.actor) !== request.actor;
    if (request.welcome !== undefined && !allows(this.policy.whoMayAdd, actor) && adds.some(isOthers)) {
      return { ...refused('not-allowed'), detail: OTHERS_WELCOME };
    }
    const parting = removes.filter((user) => this.members.get(user)?.state === 'member');
    const count = this.memberCount + joining.length - parting.length;
    if (count > this.policy.maxMembers && count > this.memberCount) return refused('too-many-members');

    const seq = this.#append({
      kind: 'commit',
      epoch: this.epoch,
      id: request.id,
      body,
      sender: request.actor,
      change,
    });
    this.epoch++;
    for (const user of parting) this.#end(user, 'removed', seq);
    for (const user of removes) {
      const member = this.members.get(user);
      if (member !== undefined) member.state = 'removed';
    }
    for (const user of joining) {
      const before = this.members.get(user)?.stays ?? [];
      this.members.set(user, newMember('member', { from: seq }, seq, before));
      this.barred.delete(user);
    }
    if (request.welcome !== undefined) for (const user of adds) this.#welcomed.set(user, request.actor);
    actor.isProven = true;
    if (parting.length > 0) this.#handOver();
    const entry = this.log[seq - 1];
    if (entry === undefined) throw new Error('The commit is not in the log');
    return { status: 'accepted', ...committed(entry) };
  }

  #leave(request: Of<'leave'>, now: number): Outcome {
    const member = this.members.get(request.actor);
    if (member === undefined) return refused('not-found');
    const answered = this.#answered('leave', request.id, request.actor, request.body ?? '', member);
    if (answered !== undefined) return answered;
    if (member.state === 'leaving') return { status: 'duplicate', seq: member.leftSeq, epoch: member.leftEpoch };
    if (request.body !== undefined) {
      const proposal = this.#message({ ...request, kind: 'message', type: 'proposal', body: request.body }, now, true);
      if (proposal.status === 'refused') return proposal;
      // Only a leave can have brought this proposal under its id, unless the user sent it as a plain one before.
      if (member.state !== 'member') return proposal;
    } else {
      const early = formerly(member) ?? late(request, now);
      if (early !== undefined) return early;
    }
    this.#end(request.actor, 'leaving', this.lastSeq);
    this.#handOver();
    return this.#remember('leave', request.id, request.actor, request.body ?? '', {
      status: 'accepted',
      seq: this.lastSeq,
      epoch: this.epoch,
    });
  }

  #other(request: Of<'read' | 'increment' | 'role' | 'policy' | 'bar' | 'delete'>, now: number): Outcome {
    const actor = this.members.get(request.actor);
    if (actor === undefined) return refused('not-found');
    const { notAfter: _, ...content } = request;
    const asked = JSON.stringify(content);
    const early =
      this.#answered(request.kind, request.id, request.actor, asked, actor) ?? formerly(actor) ?? late(request, now);
    if (early !== undefined) return early;
    const accept = (more: object = {}): Outcome =>
      this.#remember(request.kind, request.id, request.actor, asked, { status: 'accepted', ...more });

    switch (request.kind) {
      case 'read':
        actor.readSeq = Math.max(actor.readSeq, Math.min(request.seq ?? this.lastSeq, this.lastSeq));
        actor.increments = 0;
        return accept({ unread: this.unread(request.actor) });
      case 'increment':
        for (const [user, member] of this.members) {
          if (user !== request.actor && member.state === 'member') member.increments += request.by;
        }
        return accept();
      case 'role': {
        if (actor.role !== 'admin') return refused('not-allowed');
        const target = this.members.get(request.user);
        if (target?.state !== 'member') return refused('not-found');
        const admins = [...this.members.values()].filter((m) => m.state === 'member' && m.role === 'admin');
        if (request.role === 'member' && target.role === 'admin' && admins.length === 1) return refused('not-allowed');
        target.role = request.role;
        return accept({ role: request.role });
      }
      case 'policy':
        if (actor.role !== 'admin') return refused('not-allowed');
        this.policy = { ...this.policy, ...(request.policy as Partial<Policy>) };
        return accept({ policy: this.policy });
      case 'bar': {
        if (actor.role !== 'admin') return refused('not-allowed');
        const { user, barred } = request;
        if (barred) this.barred.add(user);
        else this.barred.delete(user);
        return accept({ user, barred });
      }
      case 'delete':
        throw new Error('The model does not end');
    }
  }

  #append(entry: Omit<ModelEntry, 'seq'>): number {
    this.log.push({ ...entry, seq: this.log.length + 1 });
    return this.log.length;
  }

  #prove(user: string): void {
    const member = this.members.get(user);
    if (member !== undefined) member.isProven = true;
  }

  #end(user: string, state: 'leaving' | 'removed', seq: number): void {
    const member = this.members.get(user);
    const stay = member?.stays.at(-1);
    if (member === undefined || stay === undefined) throw new Error(`${user} has no stay to end`);
    stay.to = seq;
    this.#welcomed.delete(user);
    member.state = state;
    member.role = 'member';
    member.leftSeq = seq;
    member.leftEpoch = this.epoch;
    member.leftPolicy = this.policy;
  }

  /** Without an admin, the longest-standing member becomes one. */
  #handOver(): void {
    const current = [...this.members].filter(([, { state }]) => state === 'member');
    if (current.some(([, { role }]) => role === 'admin')) return;
    const [heir] = current.sort(([a, x], [b, y]) => x.joinedSeq - y.joinedSeq || (a < b ? -1 : 1));
    if (heir !== undefined) heir[1].role = 'admin';
  }

  #answered(kind: string, id: string, actor: string, asked: string, member: ModelMember): Outcome | undefined {
    const answer = this.#answers.get(id);
    if (answer === undefined) return undefined;
    if (answer.request !== JSON.stringify([kind, actor, asked])) return formerly(member) ?? refused('id-reused');
    return { ...answer.outcome, status: 'duplicate' };
  }

  #remember(kind: string, id: string, actor: string, asked: string, outcome: Outcome): Outcome {
    this.#answers.set(id, { request: JSON.stringify([kind, actor, asked]), outcome });
    return outcome;
  }

  #wrongEpoch(code: Refused['code'], submittedEpoch: number): Refused {
    return { status: 'refused', code, currentEpoch: this.epoch, submittedEpoch };
  }

  #conflict(submittedEpoch: number): Refused {
    const ending = (epoch: number): ModelEntry | undefined =>
      this.log.find((entry) => entry.kind === 'commit' && entry.epoch === epoch);
    const winner = ending(submittedEpoch);
    return {
      ...this.#wrongEpoch('epoch-conflict', submittedEpoch),
      after: ending(submittedEpoch - 1)?.seq ?? 0,
      ...(winner === undefined ? {} : { winner: { seq: winner.seq, sha256: hashOf(winner) } }),
    };
  }
}

function newMember(role: 'admin' | 'member', stay: Stay, readSeq: number, before: readonly Stay[] = []): ModelMember {
  const stays = [...before.filter(({ from }) => from !== stay.from), stay];
  return {
    role,
    state: 'member',
    leftSeq: 0,
    leftEpoch: 0,
    readSeq,
    increments: 0,
    isProven: false,
    joinedSeq: readSeq,
    stays,
  };
}

function formerly(member: ModelMember): Refused | undefined {
  return member.state === 'member' ? undefined : { status: 'refused', code: 'removed', seq: member.leftSeq };
}

function late(request: { notAfter?: number | undefined }, now: number): Refused | undefined {
  return request.notAfter !== undefined && request.notAfter < now ? refused('deadline') : undefined;
}

function allows(who: Who, member: ModelMember): boolean {
  return who === 'member' || (who === 'admin' && member.role === 'admin');
}

function committed(entry: ModelEntry): { seq: number; epoch: number; sha256: string } {
  return { seq: entry.seq, epoch: entry.epoch + 1, sha256: hashOf(entry) };
}

function hashOf({ body }: ModelEntry): string {
  return sha256(body).toString('hex');
}

function refused(code: Refused['code']): Refused {
  return { status: 'refused', code };
}
