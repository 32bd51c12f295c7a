/** A duration as rules state it for production: a number and `s`, `m`, `h` or `d`. */
export type Duration = `${number}${'s' | 'm' | 'h' | 'd'}`;

const SECONDS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** The durations of all rules. */
export interface Times {
  /** A window of a rule, as Prometheus writes it. */
  readonly window: (duration: Duration) => string;
  /** How long an expression holds before its alert fires, as Prometheus writes it. */
  readonly pause: (duration: Duration) => string;
  /** A threshold that is a time; seconds. */
  readonly seconds: (duration: Duration) => number;
}

/** A window must hold several scrapes, which are a second apart where durations are scaled. */
const LEAST_WINDOW = 5;

/**
 * One template for all durations: everything is divided by the scale, so that faults of seconds make alerts of minutes fire.
 * @param scale 1 = production. 60 = a minute takes a second
 */
export function makeTimes(scale = 1): Times {
  const seconds = (duration: Duration): number => {
    const unit = duration.slice(-1) as keyof typeof SECONDS;
    return (Number(duration.slice(0, -1)) * SECONDS[unit]) / scale;
  };
  const write = (duration: Duration, least: number): string =>
    scale === 1 ? duration : `${Math.ceil(Math.max(seconds(duration), least))}s`;
  return {
    window: (duration) => write(duration, LEAST_WINDOW),
    pause: (duration) => write(duration, 1),
    seconds,
  };
}
