import type { Fault } from '../fault.ts';

/** Postgres writes that much in less than a second of load. */
const FREE_BYTES = 64 * 1024;

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
