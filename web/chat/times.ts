/** `14:05`, as the reader's language writes it. */
export function timeOf(at: number, locale?: string): string {
  return new Intl.DateTimeFormat(locale, { hour: 'numeric', minute: '2-digit' }).format(at);
}

/** Number of the day in the reader's time zone: two moments with the same number are on one day. */
export function dayNumber(at: number): number {
  const date = new Date(at);
  return Math.round(Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000);
}

/** `Today`, `Yesterday`, or the date. */
export function dayOf(at: number, now: number, locale?: string): string {
  const days = dayNumber(now) - dayNumber(at);
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  const isThisYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return new Intl.DateTimeFormat(locale, {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    ...(isThisYear ? {} : { year: 'numeric' }),
  }).format(at);
}

/** For a list: the time of today, and the date of before. */
export function shortDateOf(at: number, now: number, locale?: string): string {
  if (dayNumber(at) === dayNumber(now)) return timeOf(at, locale);
  if (dayNumber(now) - dayNumber(at) === 1) return 'Yesterday';
  return new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' }).format(at);
}

/** `7 days`, `1 day`. */
export function daysWords(days: number): string {
  return days === 1 ? '1 day' : `${days} days`;
}
