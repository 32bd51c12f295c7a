import { createHash } from 'node:crypto';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Notifier } from '../store/log/notifications.ts';
import { readSetting, writeSetting } from '../store/settings.ts';
import type { ExecutionPath } from './executor.ts';

const SETTING = 'path';
/** Replicas hear of a change by notification; this poll is for those whose session was down. */
const POLL_MS = 1000;

/** Which path conversations take. */
export interface PathSetting {
  readonly path: ExecutionPath;
  /** Percent of conversations that take `path`; the others take the other one. */
  readonly rollout: number;
}

/** The switch between the paths: at run time, without restart, for all replicas. */
export interface PathSwitch {
  readonly get: () => PathSetting;
  /** Changes it for all replicas; they follow within a second. */
  readonly set: (setting: PathSetting) => Promise<void>;
  readonly pathOf: (conversation: string) => ExecutionPath;
  /** Reads the setting now; called on a notification. */
  readonly refresh: () => Promise<void>;
  readonly close: () => void;
}

/** @param initial from the environment; holds until an operator changes it */
export async function makePathSwitch(deps: {
  readonly pool: pg.Pool;
  readonly notifier: Notifier;
  readonly initial: PathSetting;
  readonly log: Logger;
}): Promise<PathSwitch> {
  let current = deps.initial;
  const adopt = (setting: PathSetting): void => {
    if (setting.path === current.path && setting.rollout === current.rollout) return;
    deps.log.warn({ from: current, to: setting }, 'conversation path changed');
    current = setting;
  };
  const refresh = async (): Promise<void> => {
    const value = await readSetting(deps.pool, SETTING);
    if (isPathSetting(value)) adopt(value);
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

/** 0 to 99, the same for a conversation on every replica and for ever. */
export function bucketOf(conversation: string): number {
  return createHash('sha256').update(conversation).digest().readUInt32BE(0) % 100;
}

function other(path: ExecutionPath): ExecutionPath {
  return path === 'workflow' ? 'direct' : 'workflow';
}

function isPathSetting(value: unknown): value is PathSetting {
  if (typeof value !== 'object' || value === null) return false;
  const { path, rollout } = value as Partial<Record<keyof PathSetting, unknown>>;
  return (path === 'workflow' || path === 'direct') && typeof rollout === 'number';
}
