/**
 * The PostgreSQL settings Parley advises, used by `npm start`, by the tests and (checked by a test) by `docker-compose.yml`.
 * Sized for a small machine shared with the other processes; on a dedicated one raise the memory figures first.
 */
export const postgresSettings: Readonly<Record<string, string>> = Object.freeze({
  // Several API replicas and workers with pools of 20, their LISTEN sessions, and room for an operator.
  max_connections: '200',
  shared_buffers: '256MB',
  effective_cache_size: '1GB',
  // Acknowledged means durable: this is the one setting that must not be loosened.
  synchronous_commit: 'on',
  // Ciphertext does not compress, but index pages in full-page images do.
  wal_compression: 'on',
  wal_buffers: '16MB',
  max_wal_size: '2GB',
  min_wal_size: '256MB',
  // Fewer checkpoints mean fewer full-page images; 15 minutes of WAL replay in seconds at our volume.
  checkpoint_timeout: '15min',
  checkpoint_completion_target: '0.9',
  random_page_cost: '1.1',
  // Every statement is short; compiling one costs more than running it.
  jit: 'off',
  // Staged bodies are inserted and deleted at the rate of messages: vacuum early and often, and let it run at full speed.
  autovacuum_naptime: '10s',
  autovacuum_vacuum_scale_factor: '0.02',
  autovacuum_vacuum_insert_scale_factor: '0.1',
  autovacuum_analyze_scale_factor: '0.02',
  autovacuum_vacuum_cost_limit: '2000',
  // A forgotten transaction would hold back vacuum and a conversation's row lock.
  idle_in_transaction_session_timeout: '30s',
  log_lock_waits: 'on',
  log_min_duration_statement: '1s',
  track_io_timing: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
});

/** The settings as command line flags of `postgres`. */
export function postgresFlags(settings: Readonly<Record<string, string>> = postgresSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
