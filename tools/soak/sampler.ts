import { readdirSync, statSync } from 'node:fs';
import type { Service } from '../harness/service.ts';
import { residentMb } from '../load/process-stats.ts';
import { parseMetrics } from '../load/prometheus-text.ts';
import { conversationWorkflowId } from '../../workflows/conversation/messages.ts';
import type { SoakLoad } from './load.ts';
import type { Sample } from './verdict.ts';

export interface SamplerDeps {
  readonly service: Service;
  readonly load: Pick<SoakLoad, 'window' | 'count' | 'undelivered'>;
  /** Of the servers, by name; a server that runs elsewhere is missing. */
  readonly serverPids: Readonly<Record<string, number>>;
  readonly temporalFile: string | undefined;
  /** Conversations whose histories are looked at. */
  readonly watched: readonly string[];
}

const MB = 1024 * 1024;
const TABLES = ['entry', 'staged', 'conversation', 'member'];

/** Reads everything once. Each call is compared with the one before. */
export function makeSampler(deps: SamplerDeps): () => Promise<Sample> {
  const { service, load, serverPids, temporalFile } = deps;
  const startedAt = performance.now();
  const temporalAtStart = sizeOf(temporalFile);
  let before = { at: startedAt, count: 0, continued: 0 };
  return async () => {
    const now = performance.now();
    const [api, worker, tables, histories] = await Promise.all([
      readProcess(service.apis[0]),
      readProcess(service.workers[0]),
      readTables(deps),
      readHistories(deps),
    ]);
    const { latency, delivery, retries } = load.window();
    const count = load.count();
    const elapsed = (now - before.at) / 1000;
    const continued = worker.get('continued') ?? 0;
    const values = new Map<string, number>([...named('api', api), ...named('worker', worker), ...tables, ...histories]);
    const set = (key: string, value: number | undefined): void => {
      if (value !== undefined && Number.isFinite(value)) values.set(key, value);
    };
    if (latency.count > 0) for (const p of ['p50', 'p95', 'p99'] as const) set(`latency.${p}`, latency[p]);
    if (delivery.count > 0) for (const p of ['p50', 'p95'] as const) set(`delivery.${p}`, delivery[p]);
    set('retries', retries);
    set('sent', (count - before.count) / elapsed);
    set('continued', ((continued - before.continued) / elapsed) * 60);
    set('undelivered', load.undelivered());
    set('pending', (api.get('pending') ?? 0) + (worker.get('pending') ?? 0));
    set('temporal.rss', serverPids.temporal === undefined ? undefined : residentMb(serverPids.temporal));
    set('temporal.files', serverPids.temporal === undefined ? undefined : openFiles(serverPids.temporal));
    const grown = sizeOf(temporalFile);
    if (grown !== undefined && temporalAtStart !== undefined && count > 0) {
      set('temporal.kb', (grown - temporalAtStart) / 1024 / count);
    }
    before = { at: now, count, continued };
    return { seconds: (now - startedAt) / 1000, values };
  };
}

/** What a process says about itself. */
async function readProcess(
  one: { readonly url: string; readonly pid: number } | undefined,
): Promise<ReadonlyMap<string, number>> {
  if (one === undefined) return new Map();
  const metrics = parseMetrics(await (await fetch(`${one.url}/metrics`)).text());
  const read = new Map<string, number>();
  const take = (key: string, name: string, scale = 1): void => {
    const value = metrics.get(name);
    if (value !== undefined) read.set(key, value * scale);
  };
  take('heap', 'nodejs_heap_size_used_bytes', 1 / MB);
  take('files', 'process_open_fds');
  take('handles', 'nodejs_active_resources_total');
  take('loop', 'nodejs_eventloop_lag_p99_seconds', 1000);
  take('pending', 'actor_mailbox_depth');
  take('continued', 'actor_restarts_total{actor_type="conversation",reason="continue-as-new"}');
  const mb = residentMb(one.pid);
  if (mb !== undefined) read.set('rss', mb);
  return read;
}

async function readTables({ service }: SamplerDeps): Promise<[string, number][]> {
  const { rows } = await service.pool.query<Record<'table' | 'size' | 'indexes' | 'dead', number> & { name: string }>(
    `select c.relname as name, pg_total_relation_size(c.oid) as size, pg_indexes_size(c.oid) as indexes,
       pg_stat_get_dead_tuples(c.oid) as dead
     from pg_class c where c.oid = any (array(select to_regclass(t)::oid from unnest($1::text[]) t))`,
    [TABLES],
  );
  const counted = await service.pool.query<{ entries: number; staged: number; connections: number }>(
    `select (select sum(last_seq)::bigint from conversation) as entries, (select count(*) from staged) as staged,
       (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections`,
  );
  const { entries = 0, staged = 0, connections = 0 } = counted.rows[0] ?? {};
  const values: [string, number][] = [
    ['staged', staged],
    ['postgres.connections', connections],
  ];
  for (const { name, size, indexes, dead } of rows) {
    values.push([`${name}.mb`, size / MB], [`${name}.dead`, dead]);
    if (name === 'entry' && entries > 0) {
      values.push(['entry.bytes', (size - indexes) / entries], ['entry.indexBytes', indexes / entries]);
    }
  }
  return values;
}

/** Lengths of the histories of those watched conversations whose workflow runs. */
async function readHistories({ service, watched }: SamplerDeps): Promise<[string, number][]> {
  const described = await Promise.allSettled(
    watched.map((id) => service.temporal.workflow.getHandle(conversationWorkflowId(id)).describe()),
  );
  const lengths = described.flatMap((one) => (one.status === 'fulfilled' ? [one.value.historyLength] : []));
  if (lengths.length === 0) return [];
  const mean = lengths.reduce((sum, one) => sum + one, 0) / lengths.length;
  return [
    ['history.longest', Math.max(...lengths)],
    ['history.mean', mean],
  ];
}

function named(name: string, values: ReadonlyMap<string, number>): [string, number][] {
  return [...values].map(([key, value]) => [`${name}.${key}`, value]);
}

function openFiles(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return undefined;
  }
}

/** Bytes of the file of Temporal with its write-ahead log. */
function sizeOf(file: string | undefined): number | undefined {
  if (file === undefined) return undefined;
  return [file, `${file}-wal`].reduce((sum, one) => sum + (statSync(one, { throwIfNoEntry: false })?.size ?? 0), 0);
}
