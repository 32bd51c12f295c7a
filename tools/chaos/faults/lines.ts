import type { Member } from '../arena/fleet.ts';
import { type Fault, type Injected, type Stage, everybody } from '../fault.ts';
import type { TcpProxy } from '../../harness/tcp-proxy.ts';

/** Lines between two kinds of parts. */
const LINES = {
  'client-api': ({ arena }: Stage) => arena.apis.map(({ clientLink }) => clientLink),
  'api-postgres': ({ arena }: Stage) => linksOf(arena.apis, 'postgresLink'),
  'api-temporal': ({ arena }: Stage) => linksOf(arena.apis, 'temporalLink'),
  'worker-postgres': ({ arena }: Stage) => linksOf(arena.workers, 'postgresLink'),
  'worker-temporal': ({ arena }: Stage) => linksOf(arena.workers, 'temporalLink'),
  temporal: (stage: Stage) => linksOf(everybody(stage), 'temporalLink'),
} as const;
type Line = keyof typeof LINES;

function linksOf(members: readonly Member[], link: 'postgresLink' | 'temporalLink'): TcpProxy[] {
  return members.map((member) => member[link]);
}

const CUT_EVERY_MS = 300;
const SLOW = { delayMs: 60, bytesPerSecond: 200_000 };

/** Breaks connections again and again; new ones are fine until the next time. */
function cut(links: readonly TcpProxy[]): () => void {
  const cutAll = (): void => links.forEach((link) => link.cut());
  cutAll();
  const timer = setInterval(cutAll, CUT_EVERY_MS);
  return () => clearInterval(timer);
}

const HOW = {
  cut: { does: 'every connection is reset, three times a second', act: cut },
  silent: {
    does: 'nothing arrives any more, and nobody is told',
    act: (links: readonly TcpProxy[]) => links.forEach((link) => link.blackHole()),
  },
  slow: {
    does: `${SLOW.delayMs} ms each way, and ${SLOW.bytesPerSecond / 1000} KB a second`,
    act: (links: readonly TcpProxy[]) => links.forEach((link) => link.slow(SLOW)),
  },
} as const;
type How = keyof typeof HOW;

function lineFault(line: Line, how: How, more: Pick<Fault, 'seconds'> & Partial<Fault>): Fault {
  return {
    name: `${line}-${how}`,
    does: `${describeLine(line)}: ${HOW[how].does}`,
    breaksClients: line === 'client-api',
    isBounded: how === 'silent' && line.includes('temporal'),
    ...more,
    inject: (stage): Promise<Injected> => {
      const links = LINES[line](stage).filter((link) => link !== undefined);
      const end = HOW[how].act(links);
      return Promise.resolve({
        what: `${links.length} lines`,
        heal: async () => {
          end?.();
          await Promise.all(links.map((link) => link.heal()));
        },
      });
    },
  };
}

function describeLine(line: Line): string {
  return line === 'temporal' ? 'every line to Temporal' : `lines ${line.replace('-', ' to ')}`;
}

/** Each line cut, silent and slow. */
export const lineFaults: readonly Fault[] = [
  lineFault('client-api', 'cut', { seconds: [5, 2] }),
  lineFault('client-api', 'silent', { seconds: [5, 2] }),
  lineFault('client-api', 'slow', { seconds: [10, 2] }),
  lineFault('api-postgres', 'cut', { seconds: [5, 2], isShort: true }),
  lineFault('api-postgres', 'silent', { seconds: [10, 3], isShort: true }),
  lineFault('api-postgres', 'slow', { seconds: [10, 2] }),
  lineFault('api-temporal', 'cut', { seconds: [10, 2] }),
  lineFault('api-temporal', 'silent', { seconds: [20, 3], isShort: true }),
  lineFault('api-temporal', 'slow', { seconds: [10, 2] }),
  lineFault('worker-postgres', 'cut', { seconds: [10, 2] }),
  lineFault('worker-postgres', 'silent', { seconds: [10, 3], isShort: true }),
  lineFault('worker-postgres', 'slow', { seconds: [10, 2] }),
  lineFault('worker-temporal', 'cut', { seconds: [10, 2], isShort: true }),
  lineFault('worker-temporal', 'silent', { seconds: [20, 3] }),
  lineFault('worker-temporal', 'slow', { seconds: [10, 2] }),
  lineFault('temporal', 'silent', { seconds: [30, 3] }),
];
