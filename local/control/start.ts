import { decodeJwt } from 'jose';
import { isLoopback } from '../../process/listen.ts';
import { signToken } from '../development-token.ts';
import type { StackOptions } from '../options.ts';
import { migrate, type PartContext } from '../parts.ts';
import { loopback } from '../ports.ts';
import { makeActions } from './actions.ts';
import { openBackups } from './backups.ts';
import { type DevelopmentToken, startControlServer } from './server.ts';
import type { TokenRequest } from './requests.ts';
import type { Terminal } from './terminal.ts';

/** Short, because a page asks again by itself. */
const TOKEN_LIFE = '1h';

/** The servers of a stack, and the secret of its tokens; without one another issuer signs them. */
export type ControlledStack = { databaseUrl: string; temporalAddress: string; secret: string | undefined };

/**
 * Migrates the database, takes the backup of this start, and starts the control server: what comes before the service's own programs.
 * @returns the context for these programs, which say in their page where the control server is
 */
export async function startControl(
  context: PartContext,
  stack: ControlledStack,
  terminal: Pick<Terminal, 'lines' | 'onLine'>,
): Promise<PartContext> {
  const { options, states, say, signal, cleanup, env } = context;
  const { ports, listenHost, databaseUrl: externalDatabase } = options;
  const backups =
    externalDatabase === undefined
      ? await openBackups({
          databaseUrl: stack.databaseUrl,
          migrate: (url) => migrate({ ...context, env: { ...env, DATABASE_URL: url } }),
          say,
        })
      : undefined;
  await migrate(context);
  if (ports.control === 0) return context;
  if (!(await isLoopback(listenHost))) {
    // Whoever opens the API to others must not give them tokens, and a page on another machine would ask a stranger's port.
    say(`Web app: HOST is ${listenHost}, so it has no buttons, and asks for a token`);
    return context;
  }
  await backups?.takeAtStart();
  const actions = makeActions({ options, states, backups, temporalAddress: stack.temporalAddress, say, signal });
  const stop = await startControlServer({
    ports,
    states,
    actions,
    terminal,
    backupTakenAt: () => backups?.takenAt(),
    makeToken: tokenMaker(stack.secret, options.jwt),
  });
  cleanup.add('control server', async () => {
    // A database that is being replaced must be there again before its server stops.
    await actions.idle();
    await stop();
  });
  return { ...context, env: { ...env, WEB_APP_CONTROL_URL: `http://${loopback}:${ports.control}` } };
}

function tokenMaker(
  secret: string | undefined,
  jwt: StackOptions['jwt'],
): ((request: TokenRequest) => Promise<DevelopmentToken>) | undefined {
  if (secret === undefined) return undefined;
  return async ({ user, device, operator }) => {
    const token = await signToken({
      ...{ secret, audience: jwt.audience, issuer: jwt.issuer, user, expiresIn: TOKEN_LIFE },
      ...(device === undefined ? {} : { device }),
      ...(operator === undefined ? {} : { operator }),
    });
    return { token, expiresAt: (decodeJwt(token).exp ?? 0) * 1000 };
  };
}
