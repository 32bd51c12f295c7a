import { AppError, ensureError } from '../../domain/errors.ts';
import type { LifeEvent, LifePart, LookForNews } from '../../domain/life-event.ts';

/** Where facts come from. */
export interface LifeSource {
  readonly part: LifePart;
  readonly look: LookForNews;
  /** It looks as often as this, in milliseconds ... */
  readonly everyMs: number;
  /** ... and sooner when something happened, but never twice within this time. */
  readonly pauseMs: number;
}

/** A part that does not answer for this long is in trouble, also if it has given no error yet. */
const SILENT_MS = 2000;

/** What a looker says. */
export interface LookListener {
  readonly tell: (event: LifeEvent) => void;
  /** The source is in trouble from now on. */
  readonly onError: (error: Error) => void;
  /** There is no such conversation any more. */
  readonly onGone: () => void;
}

/** Looks again and again for news from one source, one look at a time, and says when the source cannot be read. */
export class Looker {
  readonly #source: LifeSource;
  readonly #listener: LookListener;
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the next look is planned, and when the last one ended; by `performance.now()`. */
  #dueAt = Infinity;
  #endedAt = -Infinity;
  #isLooking = false;
  /** How often something happened. */
  #wakes = 0;
  #inTrouble = false;
  #isStopped = false;

  constructor(source: LifeSource, listener: LookListener) {
    this.#source = source;
    this.#listener = listener;
    this.#plan(0);
  }

  /** Something happened: looks soon. */
  wake(): void {
    this.#wakes++;
    // What happens during a look is not sure to be in it.
    if (!this.#isLooking) this.#plan(this.#endedAt + this.#source.pauseMs - performance.now());
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #plan(inMs: number): void {
    if (this.#isStopped) return;
    const dueAt = performance.now() + Math.max(inMs, 0);
    if (dueAt >= this.#dueAt) return;
    clearTimeout(this.#timer);
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => void this.#look(), Math.max(inMs, 0));
  }

  async #look(): Promise<void> {
    this.#dueAt = Infinity;
    this.#isLooking = true;
    const wakes = this.#wakes;
    const silence = setTimeout(() => this.#trouble(new AppError('unavailable')), SILENT_MS);
    try {
      const news = await this.#source.look();
      this.#recovered();
      for (const one of news) this.#say(one);
    } catch (error) {
      if (error instanceof AppError && error.code === 'not-found') this.#gone();
      else this.#trouble(ensureError(error));
    } finally {
      clearTimeout(silence);
      this.#isLooking = false;
      this.#endedAt = performance.now();
      const { pauseMs, everyMs } = this.#source;
      this.#plan(this.#wakes > wakes && !this.#inTrouble ? pauseMs : everyMs);
    }
  }

  /** Nobody listens any more to one that is stopped. */
  #say(event: LifeEvent): void {
    if (!this.#isStopped) this.#listener.tell(event);
  }

  #gone(): void {
    if (!this.#isStopped) this.#listener.onGone();
  }

  #trouble(error: Error): void {
    if (this.#inTrouble || this.#isStopped) return;
    this.#inTrouble = true;
    this.#listener.onError(error);
    const code = error instanceof AppError ? error.code : 'unavailable';
    this.#say({ type: 'trouble', at: Date.now(), part: this.#source.part, code });
  }

  #recovered(): void {
    if (!this.#inTrouble) return;
    this.#inTrouble = false;
    this.#say({ type: 'recovered', at: Date.now(), part: this.#source.part });
  }
}
