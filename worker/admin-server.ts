import { type Server, createServer } from 'node:http';
import type { BuildInfo } from '../process/build-info.ts';
import { listenAddress, listenOn } from '../process/listen.ts';

export interface AdminServerDeps {
  /** An IP address or a name; `::` = all addresses. */
  readonly host: string;
  readonly port: number;
  /** What runs. @default nothing is said of it */
  readonly built?: BuildInfo;
  /** The readiness checks by name. The worker is ready if all are true. */
  readonly ready: () => Promise<Readonly<Record<string, boolean>>>;
  readonly metrics: () => Promise<{ contentType: string; text: string }>;
}

/** Starts the HTTP server for health checks and metrics of a worker process. @throws StartError if it cannot listen */
export async function startAdminServer(deps: AdminServerDeps): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (status: number, contentType: string, text: string): void => {
      response.writeHead(status, { 'content-type': contentType }).end(text);
    };
    const handle = async (): Promise<void> => {
      if (request.url === '/health/live') {
        answer(200, 'text/plain', 'OK');
      } else if (request.url === '/health' || request.url === '/health/ready') {
        const checks = await deps.ready();
        const ready = Object.values(checks).every(Boolean);
        answer(ready ? 200 : 503, 'application/json', JSON.stringify({ ready, checks, ...deps.built }));
      } else if (request.url === '/metrics') {
        const { contentType, text } = await deps.metrics();
        answer(200, contentType, text);
      } else {
        answer(404, 'text/plain', 'Not found');
      }
    };
    handle().catch((error: unknown) => answer(500, 'text/plain', String(error)));
  });
  await listenOn(server, { address: await listenAddress(deps.host), port: deps.port, variable: 'ADMIN_PORT' });
  return server;
}
