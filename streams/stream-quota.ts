import { AppError } from '../domain/errors.ts';

/** Places for the open streams of each user. */
export interface Places {
  /** @throws AppError `rate-limited` when the user has no more */
  readonly take: (user: string) => void;
  readonly leave: (user: string) => void;
}

/** @param perUser 0 = no limit */
export function makePlaces(perUser: number): Places {
  const taken = new Map<string, number>();
  return {
    take: (user) => {
      const count = taken.get(user) ?? 0;
      if (perUser > 0 && count >= perUser)
        throw new AppError('rate-limited', `At most ${perUser} open streams of one user`);
      taken.set(user, count + 1);
    },
    leave: (user) => {
      const count = taken.get(user) ?? 0;
      if (count > 1) taken.set(user, count - 1);
      else taken.delete(user);
    },
  };
}
