import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Child, startChild } from '../../local/child.ts';
import { freePort, portAnswers } from '../../local/ports.ts';
import { temporaryFolder } from '../../tools/harness/temporary-folder.ts';
import { waitUntil } from '../../tools/harness/wait-until.ts';

type Settings = Readonly<Record<string, string>>;

/** A PgBouncer in front of a PostgreSQL server. */
export interface Pgbouncer {
  /** The URL of a database, through the pooler. */
  readonly through: (url: string) => string;
  /** Changes settings while it runs, as an operator does: it reads its file again. */
  readonly change: (settings: Settings) => void;
  readonly restart: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** @param server URL of any database of the server */
export async function startPgbouncer(program: string, server: string, settings: Settings): Promise<Pgbouncer> {
  const { hostname, port, username, password } = new URL(server);
  const folder = temporaryFolder('pgbouncer');
  const listenPort = await freePort();
  const [file, users] = ['pgbouncer.ini', 'users.txt'].map((name) => path.join(folder.path, name)) as [string, string];
  writeFileSync(users, `"${username}" "${password}"\n`);
  const fixed = {
    listen_addr: '127.0.0.1',
    listen_port: String(listenPort),
    auth_type: 'trust',
    auth_file: users,
    unix_socket_dir: '',
    ...(process.getuid?.() === 0 ? { user: 'nobody' } : {}),
  };
  const write = (more: Settings): void => {
    const lines = Object.entries({ ...fixed, ...more }).map(([name, value]) => `${name} = ${value}`);
    writeFileSync(file, `[databases]\n* = host=${hostname} port=${port}\n[pgbouncer]\n${lines.join('\n')}\n`);
  };
  const start = async (): Promise<Child> => {
    const child = await startChild({ command: program, args: [file], logFile: `${file}.log` });
    await waitUntil(() => portAnswers(listenPort), { what: 'PgBouncer listens' });
    return child;
  };
  write(settings);
  let child = await start();
  return {
    through: (url) => {
      const way = new URL(url);
      way.host = `127.0.0.1:${listenPort}`;
      return way.href;
    },
    change: (more) => {
      write({ ...settings, ...more });
      process.kill(child.pid, 'SIGHUP');
    },
    restart: async () => {
      await child.stop('SIGKILL', 0);
      child = await start();
    },
    stop: async () => {
      await child.stop('SIGTERM', 2000);
      folder.remove();
    },
  };
}
