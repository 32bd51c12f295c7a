import { AppError } from '../domain/errors.ts';

/** Counts the open streams of each user in this process. */
export interface StreamQuota {
  /** Counts one more. @throws AppError `rate-limited` when the user has too many */
  readonly acquire: (user: string) => void;
  readonly release: (user: string) => void;
}

/** @param perUser open streams of one user at a time; 0 = no limit */
export function makeStreamQuota(perUser: number): StreamQuota {
  const open = new Map<string, number>();
  return {
    acquire: (user) => {
      const count = open.get(user) ?? 0;
      if (perUser > 0 && count >= perUser) {
        throw new AppError('rate-limited', `A user can have at most ${perUser} open streams`);
      }
      open.set(user, count + 1);
    },
    release: (user) => {
      const count = open.get(user) ?? 0;
      if (count > 1) open.set(user, count - 1);
      else open.delete(user);
    },
  };
}
