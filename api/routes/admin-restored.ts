import type { IncarnationWatch } from '../../store/process/incarnation-watch.ts';
import { reply } from '../http/reply.ts';
import { type Route, defineRoute } from '../http/route.ts';
import { Restored, RestoredRequest } from '../schemas/operations.ts';

/** An operator says that the database was restored. */
export function adminRestoredRoutes({
  incarnation,
}: {
  readonly incarnation: Pick<IncarnationWatch, 'raise'>;
}): Route[] {
  const restored = defineRoute({
    method: 'post',
    path: '/v1/admin/restored',
    name: 'restored',
    tag: 'Operators',
    access: 'operator',
    summary: 'Say that the database was restored',
    description:
      'Begins a new incarnation of the service, and tells all devices. The service does this by itself if it can see the restore: after a recovery to a point in time, a promotion, or a dump. It cannot see a snapshot of disks. One time too often does no harm.',
    body: RestoredRequest,
    replies: { 200: { description: 'The new incarnation', schema: Restored } },
    problems: ['not-allowed'],
    handle: async ({ caller }) => {
      const { id, since } = await incarnation.raise(caller.user);
      return reply(200, { incarnation: id, since: since.toISOString() });
    },
  });
  return [restored];
}
