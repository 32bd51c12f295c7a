import { readFileSync } from 'node:fs';

/** How a process reaches a database server; what `store/server.ts` takes. */
export interface ServerAddress {
  /** With the password as it was at the start. */
  readonly url: string;
  /** The password as it is now, where it comes from a file. */
  readonly password: (() => string) | undefined;
  readonly caFile: string | undefined;
}

/** The variable with a URL, and the URL that the configuration made of it. */
interface Named {
  readonly variable: string;
  readonly url: string;
}

/**
 * The address of a server. A password that comes from a file is read again at each connect, so it may be changed while the process
 * runs. If the file cannot be read, the last password stays.
 * @param env the environment, with the names of files
 */
export function serverAddress(env: NodeJS.ProcessEnv, { variable, url }: Named): ServerAddress {
  const variables = new Map(Object.entries(env));
  const given = (name: string): string | undefined => {
    const value = variables.get(name)?.trim();
    return value === '' ? undefined : value;
  };
  const urlFile = given(`${variable}_FILE`);
  const own = urlFile === undefined ? given(variable) : readTrimmed(urlFile);
  const passwordFile = given('DATABASE_PASSWORD_FILE');
  const caFile = given('DATABASE_TLS_CA_FILE');
  if (urlFile !== undefined && passwordOf(own) !== undefined) {
    return { url, password: lastKnown(url, () => passwordOf(readTrimmed(urlFile))), caFile };
  }
  if (passwordFile !== undefined && passwordOf(own) === undefined) {
    return { url, password: lastKnown(url, () => readTrimmed(passwordFile)), caFile };
  }
  return { url, password: undefined, caFile };
}

function lastKnown(url: string, read: () => string | undefined): () => string {
  let last = passwordOf(url) ?? '';
  return () => {
    try {
      const now = read();
      // A file that is being written may be empty for a moment.
      if (now !== undefined && now !== '') last = now;
    } catch {
      // It stays what it was.
    }
    return last;
  };
}

function readTrimmed(file: string): string {
  return readFileSync(file, 'utf8').trim();
}

function passwordOf(url: string | undefined): string | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined;
  const { password } = new URL(url);
  return password === '' ? undefined : decodeURIComponent(password);
}
