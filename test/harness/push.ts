import type pg from 'pg';
import { type Look, type Wake, lookAtDevices, lookForWakes } from '../../store/push/deliveries.ts';
import { registerPush } from '../../store/push/targets.ts';
import type { DeviceName } from '../../store/key-package/key-packages.ts';

/** Registers a device at the gateway; its token is `<user>/<device>`. */
export async function registerDevice(pool: pg.Pool, { user, device }: DeviceName): Promise<void> {
  await registerPush(pool, { user, device }, { kind: 'gateway', token: `${user}/${device}` });
}

/** Tokens of wakes, in order. */
export function tokensOf(wakes: readonly Wake[]): string[] {
  return wakes.map(({ target }) => (target.kind === 'gateway' ? target.token : target.endpoint)).sort();
}

/** Looks once at what is due now. */
export async function look(pool: pg.Pool): Promise<Look & { readonly tokens: string[] }> {
  const found = await lookForWakes(pool);
  const wakes = [...found.wakes, ...(await lookAtDevices(pool))];
  return { ...found, wakes, tokens: tokensOf(wakes) };
}

/** Time passes for the dispatcher: all its times go back. */
export async function later(pool: pg.Pool, seconds: number): Promise<void> {
  const back = (...columns: string[]): string =>
    columns.map((column) => `${column} = ${column} - make_interval(secs => ${seconds})`).join(', ');
  await pool.query(`update push_cursor set ${back('next_at', 'held_until')}`);
  await pool.query(`update push_target set ${back('woken_at', 'paced_at', 'check_at', 'due_at')}`);
  await pool.query(`update conversation set ${back('push_at')}`);
}
