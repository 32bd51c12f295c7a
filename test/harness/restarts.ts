import { inject, onTestFinished } from 'vitest';
import type { LogEvent, MlsGroup } from '../../client/index.ts';
import { memoryStore } from '../../client/index.ts';
import { takeSnapshot } from '../../tools/harness/rollback.ts';
import type { Service } from '../../tools/harness/service.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';
import type { TestDatabase } from './database.ts';
import type { OpenOptions, TestDevice } from './mls-devices.ts';
import { agree, deviceOpener, follow, textsOf } from './mls-devices.ts';

/** A device in one group, which follows it live unless it is offline. */
export interface Member extends TestDevice {
  readonly group: () => MlsGroup;
  /** What it found out about the log. */
  readonly events: LogEvent[];
  readonly errors: unknown[];
  /** Ends its live run. */
  readonly goOffline: () => Promise<void>;
  readonly goOnline: () => void;
}

/** A group on a service whose database can go back. */
export interface RestartGroup {
  readonly id: string;
  readonly members: readonly Member[];
  /** One more device, which is not in the group, and online. */
  readonly open: (name: string, options?: OpenOptions) => Promise<Member>;
  /** The device as it was at this moment: its store, in a process of its own that is not online. */
  readonly copyOf: (member: Member) => Promise<Member>;
}

let runs = 0;

/** Makes groups of online devices, each group with users of its own. */
export function restartGroups(
  service: () => Service,
): (names: readonly string[], options?: OpenOptions & { readonly policy?: object }) => Promise<RestartGroup> {
  const opener = deviceOpener(service);
  return async (names, { policy, ...options } = {}) => {
    const run = ++runs;
    let id = '';
    const make = async (name: string, more: OpenOptions = {}): Promise<Member> => {
      const events: LogEvent[] = [];
      const errors: unknown[] = [];
      const named = name.replace(/^[^/]+/, (user) => `${user}-${run}`);
      const opened = await opener(named, {
        ...options,
        ...more,
        onLogEvent: (_group, event) => void events.push(event),
      });
      let end = (): Promise<void> => Promise.resolve();
      return {
        ...{ ...opened, events, errors },
        group: () => opened.device.group(id),
        goOffline: () => end(),
        goOnline: () => {
          end = follow(opened.device, errors);
        },
      };
    };
    const members = await Promise.all(names.map((name) => make(name)));
    const [first, ...others] = members;
    if (first === undefined) throw new Error('nobody');
    id = (await first.device.createGroup(policy)).id;
    if (others.length > 0) await first.device.invite(id, ...others.map(({ device }) => device.user));
    for (const { device } of others) await device.joinGroups();
    for (const { device } of members) await device.sync();
    for (const member of members) member.goOnline();
    const plain = (member: Member): string => member.name.replace(/-\d+/, '');
    return {
      ...{ id, members },
      open: async (name, more) => {
        const member = await make(name, more);
        member.goOnline();
        return member;
      },
      copyOf: (member) =>
        make(plain(member), { left: { ...member, store: memoryStore(member.store.entries()) }, keyPackages: 0 }),
    };
  };
}

/** A snapshot of the service's database at this moment. @returns goes back to it */
export async function remember(database: Pick<TestDatabase, 'url'>): Promise<() => Promise<void>> {
  const snapshot = await takeSnapshot(inject('postgresUrl'), database.url);
  onTestFinished(snapshot.drop);
  return snapshot.restore;
}

/** Waits until the groups are in one state, nothing is left of a restart, and all show these texts, in the same order. */
export async function settled(members: readonly Member[], texts: readonly string[]): Promise<void> {
  const state = (): string =>
    members
      .map(({ name, group, errors }) => {
        const { epoch, isRestarting, history } = group();
        const shown = history.map(({ text, lost }) => (lost === undefined ? text : `(${text})`)).join(',');
        return `${name} epoch ${epoch} ${isRestarting ? 'restarting' : ''} [${shown}] at ${group().position} bad ${group().undecryptable.join()} ${group().epochAuthenticator.slice(0, 6)} ${errors.map(String).join('; ')}`;
      })
      .join('\n');
  await waitUntil(
    () => {
      const groups = members.map(({ group }) => group());
      // Two devices that send again at the same time are in no order.
      const wanted = [...texts].sort().join();
      const isShown = (group: MlsGroup): boolean => [...textsOf(group)].sort().join() === wanted;
      const isSameOrder = new Set(groups.map((group) => textsOf(group).join())).size === 1;
      return agree(groups) && isSameOrder && groups.every((group) => !group.isRestarting && isShown(group));
    },
    { what: `all have settled`, timeoutMs: 40_000 },
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}:\n${state()}\nexpected [${texts.join(',')}]`);
  });
}
