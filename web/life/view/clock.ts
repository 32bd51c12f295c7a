const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});

/** Time of day, to the second. */
export function clockTime(at: number): string {
  return CLOCK.format(at);
}
