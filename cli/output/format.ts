const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** A time for people: `850 ms`, `12 s`, `3 m 20 s`, `2 d 4 h`. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  if (whole < 1000) return `${whole} ms`;
  const first = UNITS.findIndex(([, size]) => whole >= size);
  const [unit, size] = UNITS[first] ?? UNITS[3];
  const next = UNITS[first + 1];
  const count = Math.floor(whole / size);
  const rest = next === undefined ? 0 : Math.floor((whole % size) / next[1]);
  return rest === 0 || next === undefined ? `${count} ${unit}` : `${count} ${unit} ${rest} ${next[0]}`;
}

/** How long ago a time is. @param at RFC 3339 @param now milliseconds since 1970 */
export function ago(at: string, now: number): string {
  const ms = now - Date.parse(at);
  return ms < -1000 ? `in ${duration(-ms)}` : `${duration(ms)} ago`;
}

/** Seconds of `90`, `90s`, `15m`, `2h` or `3d`; `undefined` if it is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d{1,9})([smhd]?)$/.exec(text);
  if (match === null) return undefined;
  const [, number, unit = ''] = match;
  const size = UNITS.find(([name]) => name === unit)?.[1] ?? 1000;
  return (Number(number) * size) / 1000;
}

/** `12.3 KB`; for people. */
export function bytes(count: number): string {
  if (count < 1000) return `${count} B`;
  return count < 1_000_000 ? `${(count / 1000).toFixed(1)} KB` : `${(count / 1_000_000).toFixed(1)} MB`;
}

/** `3 members`, `1 member`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
