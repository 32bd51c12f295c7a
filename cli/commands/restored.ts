import { call } from '../api.ts';
import { type CommandHost, withCommon } from '../command.ts';
import type { CommonOptions } from '../session.ts';

interface Options extends CommonOptions {
  readonly yes?: boolean;
}

/** `parley restored` */
export function restoredCommand({ program, run }: CommandHost): void {
  withCommon(
    program
      .command('restored')
      .summary('say that the database was restored from a backup')
      .description(
        'Begins a new incarnation of the service. All devices learn it at once, or when they connect: they replace their key packages, and send again what the backup may not have. The service sees most restores by itself; this is for those that it cannot see, such as a snapshot of disks. It is written into the audit trail.',
      )
      .option('--yes', 'do not ask'),
  ).action((options: Options) =>
    run(options, async (session) => {
      await session.confirm('Tell all devices that the database was restored?', options.yes === true);
      const value = await call(session.api.POST('/v1/admin/restored', { body: {} }));
      session.show({ value, text: `The service has the incarnation ${value.incarnation} since ${value.since}.` });
    }),
  );
}
