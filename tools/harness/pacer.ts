/** How slow a line is. */
export interface Pace {
  /** Time that every chunk takes. @default 0 */
  readonly delayMs?: number;
  /** @default unlimited */
  readonly bytesPerSecond?: number;
}

/** Holds chunks of one direction of one connection back, and keeps their order. */
export interface Pacer {
  readonly pass: (bytes: number, deliver: () => void) => void;
}

interface Held {
  readonly dueAt: number;
  readonly deliver: () => void;
}

/** @param pace asked for each chunk, so that a line may become slow and fast again */
export function makePacer(pace: () => Pace): Pacer {
  const held: Held[] = [];
  let lineIsFreeAt = 0;
  let timer: NodeJS.Timeout | undefined;

  const deliverDue = (): void => {
    timer = undefined;
    const now = performance.now();
    while (held[0] !== undefined && held[0].dueAt <= now) held.shift()?.deliver();
    // One timer: timers of different lengths may fire out of order.
    if (held[0] !== undefined) timer = setTimeout(deliverDue, Math.max(1, held[0].dueAt - now));
  };
  return {
    pass: (bytes, deliver) => {
      const { delayMs = 0, bytesPerSecond = Infinity } = pace();
      const now = performance.now();
      lineIsFreeAt = Math.max(now, lineIsFreeAt) + (bytes * 1000) / bytesPerSecond;
      const dueAt = Math.max(lineIsFreeAt + delayMs, held.at(-1)?.dueAt ?? 0);
      if (dueAt <= now && held.length === 0) {
        deliver();
        return;
      }
      held.push({ dueAt, deliver });
      if (timer === undefined) deliverDue();
    },
  };
}
