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
