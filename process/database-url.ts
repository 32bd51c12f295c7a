/**
 * Puts `DATABASE_PASSWORD` into the URL of the database. The password may have any characters.
 * @returns the URL, or a sentence that says why there is none; the sentence has neither URL nor password
 */
export function databaseUrl(url: string, password: string | undefined): { url: string } | { problem: string } {
  if (password === undefined || url === '') return { url };
  const parsed = new URL(url);
  if (parsed.password !== '') return { problem: 'DATABASE_PASSWORD is set, but DATABASE_URL has a password already' };
  if (parsed.hostname === '' || parsed.username === '')
    return {
      problem: 'DATABASE_PASSWORD is set, but DATABASE_URL has no user and host (postgres://user@host/database)',
    };
  parsed.password = encodeURIComponent(password);
  return { url: parsed.href };
}

/**
 * Puts `DATABASE_PASSWORD` into the URL of a replica, or of another way to the server, that has a user and no password. Its roles have
 * the same passwords: nobody has to write one where it is not hidden.
 */
export function otherUrl(url: string, password: string | undefined): string {
  const parsed = new URL(url);
  if (password === undefined || parsed.password !== '' || parsed.hostname === '' || parsed.username === '') return url;
  parsed.password = encodeURIComponent(password);
  return parsed.href;
}
