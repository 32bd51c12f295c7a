import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from 'pino';
import { type DatabaseClock, OWN_CLOCK } from '../process/database-clock.ts';
import type { Notifier } from '../store/log/notifications.ts';
import { readSetting, writeSetting } from '../store/settings.ts';
import { CONVERSATION_PATHS } from '../process/config.ts';
import type { ConversationPath, ExecutionPath } from './executor.ts';

const SETTING = 'path';
/** A notification announces a change to all replicas. This poll is for replicas whose listening session was down. */
const POLL_MS = 1000;

/** The execution path of the conversations. */
export interface PathSetting {
  readonly path: ConversationPath;
  /** Percentage of conversations that use `path`. The others use the other path; beside `auto` that is `workflow`. */
  readonly rollout: number;
}

/** Switches the execution path at run time, without a restart, for all replicas. */
export interface PathSwitch {
  readonly get: () => PathSetting;
  /** Changes the setting for all replicas. They apply it within a second. */
  readonly set: (setting: PathSetting) => Promise<void>;
  readonly pathOf: (conversation: string) => ConversationPath;
  /** Reads the setting now. Called on each notification. */
  readonly refresh: () => Promise<void>;
  readonly close: () => void;
}

/** @param initial setting from the environment, valid until an operator changes it */
export async function makePathSwitch(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly initial: PathSetting;
  /** Learns from each read of the setting. @default the clock of the process */
  readonly clock?: Pick<DatabaseClock, 'learnFrom'>;
  readonly log: Logger;
  /** A setting of a later version was found. It is ignored, and the one before it stays. */
  readonly onUnknown?: () => void;
  /** The setting has changed. */
  readonly onChange?: () => void;
}): Promise<PathSwitch> {
  const { clock = OWN_CLOCK } = deps;
  let current = deps.initial;
  const adopt = (setting: PathSetting): void => {
    if (setting.path === current.path && setting.rollout === current.rollout) return;
    deps.log.warn({ from: current, to: setting }, 'conversation path changed');
    current = setting;
    deps.onChange?.();
  };
  let unknown: string | undefined;
  const ignore = (value: unknown): void => {
    const text = JSON.stringify(value);
    if (text === unknown) return;
    unknown = text;
    deps.log.warn({ setting: value, kept: current }, 'this version does not know the stored path setting');
    deps.onUnknown?.();
  };
  const refresh = async (): Promise<void> => {
    const { value } = await clock.learnFrom(() => readSetting(deps.pool, SETTING));
    if (isPathSetting(value)) adopt(value);
    else if (value !== undefined) ignore(value);
  };
  await refresh();
  const timer = setInterval(() => {
    refresh().catch((error: unknown) => deps.log.debug({ err: error }, 'path setting not read'));
  }, POLL_MS);

  return {
    get: () => current,
    set: async (setting) => {
      await writeSetting(deps.pool, SETTING, setting);
      adopt(setting);
      await deps.notifier.setting(SETTING);
    },
    pathOf: (conversation) => {
      if (current.rollout >= 100) return current.path;
      return bucketOf(conversation) < current.rollout ? current.path : other(current.path);
    },
    refresh,
    close: () => clearInterval(timer),
  };
}

/** A number from 0 to 99. A conversation always has the same one, on every replica. */
export function bucketOf(conversation: string): number {
  return createHash('sha256').update(conversation).digest().readUInt32BE(0) % 100;
}

function other(path: ConversationPath): ExecutionPath {
  return path === 'workflow' ? 'direct' : 'workflow';
}

function isPathSetting(value: unknown): value is PathSetting {
  if (typeof value !== 'object' || value === null) return false;
  const { path, rollout } = value as Partial<Record<keyof PathSetting, unknown>>;
  return CONVERSATION_PATHS.some((one) => one === path) && typeof rollout === 'number';
}
