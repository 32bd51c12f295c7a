import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Fault, pick } from '../fault.ts';

/** Where Debian's package `libfaketime` has it, on the two architectures that we run on. */
const LIBRARIES = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1',
];
const JUMPS = ['+3600', '-3600', '+20', '-20'];

/** `FAKETIME_LIBRARY` names another file. */
function library(): string | undefined {
  return [process.env.FAKETIME_LIBRARY ?? '', ...LIBRARIES].find((file) => file !== '' && existsSync(file));
}

export const clockJumps: Fault = {
  name: 'clock-jumps',
  does: 'the clocks of one API process and one worker jump by seconds or by an hour, and back',
  seconds: [15, 5],
  breaksClients: true,
  missing: () => (library() === undefined ? 'libfaketime is not installed' : undefined),
  inject: async (stage) => {
    const { apis, workers } = stage.arena;
    const file = path.join(stage.arena.folder, 'clock');
    writeFileSync(file, '+0');
    const env = {
      LD_PRELOAD: library() ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    };
    const members = [pick(stage, apis), pick(stage, workers)];
    await Promise.all(members.map((member) => member.deploy({ env })));
    const jump = pick(stage, JUMPS);
    writeFileSync(file, jump);
    return {
      what: `${members.map(({ name }) => name).join(', ')} by ${jump} s`,
      heal: async () => {
        writeFileSync(file, '+0');
        await Promise.all(members.map((member) => member.deploy()));
      },
    };
  },
};
