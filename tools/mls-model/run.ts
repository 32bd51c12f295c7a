import { setTimeout as sleep } from 'node:timers/promises';
import { ProblemError } from '../../client/index.ts';
import type { Service } from '../harness/service.ts';
import { waitUntil } from '../harness/wait-until.ts';
import { Actor, CrashedError } from './actor.ts';
import { replay } from './reference.ts';
import type { Action, ActionKind, Trouble } from './schedule.ts';
import { makeSchedule } from './schedule.ts';
import type { SentMessage } from './verdict.ts';
import { judge } from './verdict.ts';
import { messageOf } from '../../process/message-of.ts';

export interface ModelOptions {
  readonly seed: number;
  readonly devices: number;
  readonly steps: number;
  /** Maximum number of actions at the same time. */
  readonly width: number;
}

export interface ModelReport {
  readonly seed: number;
  readonly seconds: number;
  readonly entries: number;
  readonly epochs: number;
  readonly messages: number;
  /** Number of successful actions, by kind. */
  readonly done: Readonly<Record<string, number>>;
  /** Number of refused and failed actions, by kind and code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Number of messages that devices cannot read, by reason (`Unreadable`). */
  readonly unreadable: Readonly<Record<string, number>>;
  /** Empty = all devices have the same messages and state, and nothing is missing. */
  readonly problems: readonly string[];
  /** One line for each event. */
  readonly log: readonly string[];
}

const DEVICES_OF_A_USER = [1, 2, 3] as const;
const CATCH_UP_MS = 60_000;
const AUDITOR = 'auditor';

/** One conversation of real devices under a random schedule, and what they have at its end. */
export async function runModel(service: Service, options: ModelOptions): Promise<ModelReport> {
  const startedAt = Date.now();
  const { externalJoin, rounds } = makeSchedule(options.seed, options);
  const log: string[] = [];
  const problems: string[] = [];
  const sent = new Map<string, SentMessage>();
  const counts = { done: new Map<string, number>(), refused: new Map<string, number>() };
  const count = (counter: Map<string, number>, key: string): void => void counter.set(key, (counter.get(key) ?? 0) + 1);
  const say = (line: string): void => void log.push(`${((Date.now() - startedAt) / 1000).toFixed(2)} ${line}`);
  const note = (name: string, what: string, error: unknown): void => {
    if (isCrash(error)) return;
    count(counts.refused, `${what} ${codeOf(error)}`);
    say(`${name} ${what}: ${describe(error)}`);
  };
  const suffix = `${options.seed}-${startedAt.toString(36)}`;
  const newActor = (user: string, device: string, place: number): Actor =>
    new Actor(service, `${user}-${suffix}`, device, place, {
      onSending: (messageId, sender, text) => {
        if (!sent.has(messageId)) sent.set(messageId, { sender, text });
      },
      onError: note,
      onRejoin: (name, seq, why) => say(`${name} joined again with ${seq}: ${why}`),
    });

  const actors: Actor[] = [];
  for (let user = 0; actors.length < options.devices; user++) {
    // The first user, who is never removed, has two devices. The numbers of the others alternate.
    const devices = user === 0 ? 2 : (DEVICES_OF_A_USER[user % 3] ?? 1);
    for (let device = 0; device < devices && actors.length < options.devices; device++) {
      actors.push(newActor(`user${user}`, `device${device}`, actors.length));
    }
  }
  const [anchor] = actors;
  if (anchor === undefined) throw new Error('no devices');
  const auditor = newActor(AUDITOR, 'only', 1);
  try {
    await Promise.all(actors.map((actor) => actor.open()));
    await auditor.open([], { updateOnJoin: false });
    const { id } = await anchor.device.createGroup({ externalJoin, whoMayAdd: 'member', whoMayRemove: 'member' });
    // It holds a state since the creation.
    anchor.welcomed.push(0);
    await anchor.device.invite(id, auditor.user);
    await auditor.device.joinGroups();
    const auditorEntries = auditor.snapshot();
    await anchor.device.group(id).update(); // merges the leaf of the auditor, who then stays as it is
    await auditor.close();
    for (const actor of actors) actor.connect();

    // Some users are members from the start. The schedule adds the others.
    const early = actors.filter((_actor, i) => i % 3 !== 2).map(({ user }) => user);
    await anchor.device.invite(id, ...new Set(early));

    let texts = 0;
    const send = async (actor: Actor): Promise<void> => {
      const text = `text ${++texts} of ${actor.name}`;
      const { id: messageId, seq } = await actor.send(id, text);
      const known = sent.get(messageId);
      if (known !== undefined) sent.set(messageId, { ...known, seq });
    };
    const act: Readonly<Record<ActionKind, (actor: Actor, target: Actor) => Promise<void> | undefined>> = {
      send: (actor) => (actor.isIn(id) ? send(actor) : undefined),
      update: (actor) => (actor.isIn(id) ? actor.device.group(id).update() : undefined),
      invite: (actor, target) => {
        const others = actors.filter(({ user }) => user === target.user);
        if (!actor.isIn(id) || others.every((one) => one.isIn(id))) return undefined;
        return actor.device.invite(id, target.user).then(() => undefined);
      },
      external: (actor) => {
        const isMember = actors.some((one) => one.user === actor.user && one.isIn(id));
        return actor.isIn(id) || !isMember ? undefined : actor.joinExternally(id);
      },
      outsider: (actor) => {
        const isMember = actors.some((one) => one.user === actor.user && one.isIn(id));
        return isMember ? undefined : actor.joinExternally(id);
      },
      leave: (actor) => {
        if (actor.user === anchor.user || !actor.isIn(id)) return undefined;
        return actor.device.group(id).leave();
      },
      remove: (actor, target) => {
        if (!actor.isIn(id) || target.user === anchor.user || target.user === actor.user) return undefined;
        return actor.device.group(id).remove(target.user);
      },
      'propose-remove': (actor, target) => {
        if (!actor.isIn(id) || target.user === anchor.user || target.user === actor.user) return undefined;
        return actor.device.group(id).proposeRemove(target.user);
      },
      'propose-update': (actor) => (actor.isIn(id) && actor !== anchor ? actor.proposeUpdate(id) : undefined),
      disconnect: (actor) => (actor.isConnected ? actor.disconnect() : undefined),
      connect: (actor) => {
        if (actor.isConnected) return undefined;
        actor.connect();
        return Promise.resolve();
      },
      crash: (actor) => actor.crash(),
      lose: (actor) => (actor.isIn(id) ? actor.lose(id) : undefined),
      resync: (actor) => (actor.isIn(id) ? actor.resync(id) : undefined),
    };
    const perform = async ({ kind: planned, actor: from, target: to, delayMs }: Action): Promise<void> => {
      await sleep(delayMs);
      const [actor, target] = [actors[from], actors[to]];
      if (actor === undefined || target === undefined) return;
      let kind = planned;
      try {
        let task = act[kind](actor, target);
        if (task === undefined && actor.isIn(id)) task = act[(kind = 'send')](actor, target);
        if (task === undefined) return;
        say(`${actor.name} ${kind}${['invite', 'remove', 'propose-remove'].includes(kind) ? ` ${target.user}` : ''}`);
        await (kind === 'crash' ? task : actor.untilDeath(task));
        count(counts.done, kind);
      } catch (error) {
        note(actor.name, kind, error);
      }
    };
    const disturb = async (trouble: Trouble): Promise<void> => {
      say(JSON.stringify(trouble));
      if (trouble.kind === 'path') await service.setPath(trouble.path);
      else await service.replace(trouble.what, trouble.place);
      count(counts.done, trouble.kind === 'path' ? 'path' : `kill ${trouble.what}`);
    };
    for (const { actions, trouble } of rounds) {
      // The next round may begin before the service has recovered from the disturbance.
      await Promise.all([...actions.map(perform), ...(trouble === undefined ? [] : [disturb(trouble)])]);
    }

    say('end: all devices connect and catch up through their streams alone');
    for (const actor of actors) actor.connect();
    const { pool } = service;
    const seqNow = async (): Promise<number> => {
      const { rows } = await pool.query<{ last: number }>('select last_seq as last from conversation where id = $1', [
        id,
      ]);
      return rows[0]?.last ?? 0;
    };
    let stable = 0;
    let before = -1;
    const isQuiet = async (): Promise<boolean> => {
      const last = await seqNow();
      const isCaughtUp = actors.every((actor) => !actor.isIn(id) || actor.group(id)?.position === last);
      const { rows } = await pool.query<{ waiting: number }>(
        `select ((select count(*) from member m where m.conversation = c.key and m.leaving)
          + (select count(*) from welcome w where w.conversation = c.key))::int as waiting
         from conversation c where c.id = $1`,
        [id],
      );
      stable = isCaughtUp && last === before && rows[0]?.waiting === 0 ? stable + 1 : 0;
      before = last;
      return stable >= 10;
    };
    await anchor.device.group(id).receive();
    await anchor.device.group(id).commitPending();
    await send(anchor);
    await waitUntil(isQuiet, { what: 'all have caught up', timeoutMs: CATCH_UP_MS, everyMs: 100 }).catch(
      (error: unknown) => {
        problems.push(describe(error));
      },
    );
    const reference = await replay(pool, id, { user: auditor.user, entries: auditorEntries });
    const verdict = await judge(pool, id, reference, actors, sent);
    problems.push(...verdict.problems);
    return {
      seed: options.seed,
      seconds: (Date.now() - startedAt) / 1000,
      entries: reference.lastSeq,
      epochs: Math.max(...reference.epochs.keys()),
      messages: reference.messages.size,
      done: Object.fromEntries(counts.done),
      refused: Object.fromEntries(counts.refused),
      unreadable: Object.fromEntries(verdict.unreadable),
      problems,
      log,
    };
  } finally {
    await Promise.all([...actors, auditor].map((actor) => actor.close()));
  }
}

/** A report as text. It contains the log when the run failed. */
export function renderModelReport(report: ModelReport): string {
  const { seed, seconds, entries, epochs, messages, done, refused, unreadable, problems, log } = report;
  return [
    `seed ${seed}: ${entries} entries, ${messages} messages, ${epochs} epochs in ${seconds.toFixed(1)} s`,
    `  done ${JSON.stringify(done)}`,
    `  refused ${JSON.stringify(refused)}`,
    `  messages that a device had no keys for ${JSON.stringify(unreadable)}`,
    ...(problems.length === 0
      ? ['  all devices have the same messages and state, and nothing is missing']
      : [
          ...log.map((line) => `  ${line}`),
          ...problems.map((line) => `  PROBLEM ${line}`),
          `  repeat this run with PARLEY_MODEL_SEED=${seed}`,
        ]),
  ].join('\n');
}

function isCrash(error: unknown): boolean {
  if (error instanceof CrashedError) return true;
  if (error instanceof AggregateError) return error.errors.every(isCrash);
  return error instanceof Error && error.cause !== undefined && isCrash(error.cause);
}

function codeOf(error: unknown): string {
  if (error instanceof ProblemError) return error.code;
  return error instanceof Error ? error.name : 'unknown';
}

function describe(error: unknown): string {
  if (error instanceof AggregateError) return `${error.message} (${error.errors.map(describe).join('; ')})`;
  return messageOf(error);
}
