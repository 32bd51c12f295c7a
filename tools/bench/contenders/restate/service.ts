import './with-resolvers.ts';
import { createServer } from 'node:http2';
import { createEndpointHandler } from '@restatedev/restate-sdk';
import { loadConfig } from '../../../../process/config.ts';
import { makeLogger } from '../../../../process/logger.ts';
import { shutDownOnSignals } from '../../../../process/shutdown.ts';
import { makeNotifier } from '../../../../store/log/notifications.ts';
import { makePool } from '../../../../store/pool.ts';
import { startAdminServer } from '../../../../worker/admin-server.ts';
import { conversationObject } from './object.ts';

// The process with the handlers: `service.js <object name> <port>`. Restate calls it over HTTP/2.

const [, , name = '', port = ''] = process.argv;
const config = loadConfig(process.env, 'worker');
const log = makeLogger({ level: config.logLevel, name: 'restate-service' });
const pool = makePool({ url: config.databaseUrl, max: config.databasePoolSize, name: 'restate-service' });
pool.options.connectionTimeoutMillis = config.requestDeadlineMs;
pool.on('error', (error) => log.warn({ err: error }, 'idle database connection failed'));
const notifier = makeNotifier(pool, (error) => log.warn({ err: error }, 'notify failed'));
const server = createServer(createEndpointHandler({ services: [conversationObject(name, pool, notifier)] }));
server.listen(Number(port), config.host);
await startAdminServer({
  host: config.host,
  port: config.adminPort,
  ready: () => Promise.resolve({ listening: server.listening }),
  metrics: () => Promise.resolve({ contentType: 'text/plain', text: '' }),
});
shutDownOnSignals({ leave: () => undefined, delayMs: 0, shutdown: () => process.exit(), log });
