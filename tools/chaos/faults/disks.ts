import type { Fault } from '../fault.ts';

/** Not a page: what Postgres holds already, such as segments of its log, it goes on to fill. */
const FREE_BYTES = 0;

export const diskFull: Fault = {
  name: 'disk-full',
  does: 'the file system of Postgres has no room left',
  seconds: [10, 3],
  missing: ({ disk }) => (typeof disk === 'string' ? disk : undefined),
  inject: ({ arena: { disk, postgres } }) => {
    if (typeof disk === 'string') throw new Error(disk);
    disk.shrink(FREE_BYTES);
    return Promise.resolve({
      what: 'postgres',
      heal: async () => {
        disk.grow();
        // Without room for its log it ends itself.
        await postgres.start();
      },
    });
  },
};
