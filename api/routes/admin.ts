import type { z } from 'zod';
import { reply } from '../routing/reply.ts';
import { type Route, defineRoute } from '../routing/route.ts';
import { PathSetting } from '../schemas/operations.ts';

type Setting = z.output<typeof PathSetting>;

/** The switch between the paths, for all replicas. */
export interface Paths {
  readonly get: () => Setting;
  readonly set: (setting: Setting) => Promise<void>;
}

const shared = { path: '/v1/admin/path', tag: 'Operators', access: 'operator' } as const;

/** What operators change at run time. */
export function adminRoutes({ paths }: { readonly paths: Paths }): Route[] {
  const get = defineRoute({
    ...shared,
    method: 'get',
    name: 'getPath',
    summary: 'Who applies operations',
    replies: { 200: { description: 'The setting', schema: PathSetting } },
    problems: ['not-allowed'],
    handle: () => Promise.resolve(reply(200, paths.get())),
  });
  const put = defineRoute({
    ...shared,
    method: 'put',
    name: 'setPath',
    summary: 'Change who applies operations',
    description: 'At once and for all replicas, without a restart. Both paths may be at work on one conversation.',
    body: PathSetting,
    replies: { 200: { description: 'The new setting', schema: PathSetting } },
    problems: ['not-allowed'],
    handle: async ({ body }) => {
      await paths.set(body);
      return reply(200, body);
    },
  });
  return [get, put];
}
