/** What may happen to a series. */
export type Bound =
  /**
   * It stays level. Its slope after the warm-up, over an hour, is at most `perHour`. A drift of `allowance` over the whole run is
   * never a fault: a short run cannot tell it from noise.
   */
  | { readonly kind: 'level'; readonly perHour: number; readonly allowance: number }
  /** It never exceeds this. */
  | { readonly kind: 'ceiling'; readonly at: number }
  /** It is shown, and not judged. */
  | { readonly kind: 'shown' };

export interface SeriesKind {
  /** Name of the value in a sample. */
  readonly key: string;
  readonly label: string;
  /** Title of the chart that it is drawn in, with its unit. */
  readonly chart: string;
  readonly bound: Bound;
}

const level = (perHour: number, allowance: number): Bound => ({ kind: 'level', perHour, allowance });
const SHOWN: Bound = { kind: 'shown' };

/** Everything that is sampled, in the order of the report. A value that a machine does not have is left out. */
export const SERIES: readonly SeriesKind[] = [
  { key: 'api.rss', label: 'API', chart: 'resident memory, MB', bound: level(20, 40) },
  { key: 'worker.rss', label: 'worker', chart: 'resident memory, MB', bound: level(40, 80) },
  // Temporal keeps histories of a day, of which a part is in memory.
  { key: 'temporal.rss', label: 'Temporal', chart: 'resident memory, MB', bound: level(200, 200) },
  { key: 'api.heap', label: 'API', chart: 'heap in use, MB', bound: level(10, 20) },
  { key: 'worker.heap', label: 'worker, main thread', chart: 'heap in use, MB', bound: level(10, 20) },
  { key: 'api.files', label: 'API', chart: 'open files', bound: level(5, 20) },
  { key: 'worker.files', label: 'worker', chart: 'open files', bound: level(5, 20) },
  { key: 'temporal.files', label: 'Temporal', chart: 'open files', bound: level(5, 20) },
  { key: 'api.handles', label: 'API', chart: 'handles and requests of the event loop', bound: level(5, 200) },
  { key: 'worker.handles', label: 'worker', chart: 'handles and requests of the event loop', bound: level(5, 200) },
  { key: 'postgres.connections', label: 'connections', chart: 'PostgreSQL connections', bound: level(5, 20) },
  { key: 'api.loop', label: 'API', chart: 'event loop delay, p99 ms', bound: level(5, 50) },
  { key: 'worker.loop', label: 'worker', chart: 'event loop delay, p99 ms', bound: level(5, 50) },
  { key: 'latency.p50', label: 'p50', chart: 'answer, ms', bound: level(20, 30) },
  { key: 'latency.p95', label: 'p95', chart: 'answer, ms', bound: level(50, 100) },
  { key: 'latency.p99', label: 'p99', chart: 'answer, ms', bound: SHOWN },
  { key: 'delivery.p50', label: 'p50', chart: 'arrival at streams, ms', bound: level(20, 30) },
  { key: 'delivery.p95', label: 'p95', chart: 'arrival at streams, ms', bound: level(50, 100) },
  { key: 'undelivered', label: 'on their way to a stream', chart: 'messages that wait', bound: level(10, 100) },
  { key: 'pending', label: 'for a decision', chart: 'messages that wait', bound: level(10, 100) },
  { key: 'staged', label: 'staged rows', chart: 'messages that wait', bound: level(10, 100) },
  { key: 'entry.bytes', label: 'table', chart: 'bytes of the log for each entry', bound: level(20, 80) },
  { key: 'entry.indexBytes', label: 'indexes', chart: 'bytes of the log for each entry', bound: level(20, 80) },
  { key: 'staged.mb', label: 'staged', chart: 'other tables with indexes, MB', bound: level(2, 8) },
  { key: 'conversation.mb', label: 'conversation', chart: 'other tables with indexes, MB', bound: level(1, 3) },
  { key: 'member.mb', label: 'member', chart: 'other tables with indexes, MB', bound: level(1, 3) },
  { key: 'staged.dead', label: 'staged', chart: 'dead rows', bound: level(1000, 10_000) },
  { key: 'conversation.dead', label: 'conversation', chart: 'dead rows', bound: level(500, 2000) },
  { key: 'member.dead', label: 'member', chart: 'dead rows', bound: level(500, 4000) },
  // Histories stay for the retention of the namespace, so the file grows with the messages.
  { key: 'temporal.kb', label: 'of the file', chart: "KB of Temporal's data for each message", bound: level(3, 5) },
  {
    key: 'history.longest',
    label: 'longest of the sample',
    chart: 'events of running workflows',
    bound: { kind: 'ceiling', at: 1000 },
  },
  { key: 'history.mean', label: 'mean', chart: 'events of running workflows', bound: SHOWN },
  { key: 'continued', label: 'continued as new, a minute', chart: 'runs', bound: SHOWN },
  { key: 'sent', label: 'acknowledged a second', chart: 'messages', bound: SHOWN },
  { key: 'retries', label: 'sent again', chart: 'messages', bound: SHOWN },
];
