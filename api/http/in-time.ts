import { AppError } from '../../domain/errors.ts';

/**
 * Waits for the work until the deadline. The work continues after it and may still be decided, so the client sends the
 * request again with the same id.
 * @param deadline milliseconds since 1970
 * @throws AppError `deadline`
 */
export function inTime<T>(work: Promise<T>, deadline: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new AppError('deadline')), Math.max(0, deadline - Date.now()));
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
