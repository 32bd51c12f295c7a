/**
 * Recommended PostgreSQL settings. `npm start`, the tests and `docker-compose.yml` use them (a test compares the last
 * one). The sizes fit a small machine that also runs the other processes. On a dedicated machine, increase the memory
 * sizes first.
 */
export const postgresSettings: Readonly<Record<string, string>> = Object.freeze({
  // Enough for several APIs and workers with pools of 20, their LISTEN sessions, and an operator.
  max_connections: '200',
  shared_buffers: '256MB',
  effective_cache_size: '1GB',
  // Never relax this setting: every acknowledged operation must be on disk.
  synchronous_commit: 'on',
  // Ciphertext cannot be compressed, but index pages in full-page images can.
  wal_compression: 'on',
  wal_buffers: '16MB',
  max_wal_size: '2GB',
  min_wal_size: '256MB',
  // Fewer checkpoints write fewer full-page images. At our volume, recovery replays 15 minutes of WAL in seconds.
  checkpoint_timeout: '15min',
  checkpoint_completion_target: '0.9',
  random_page_cost: '1.1',
  // All statements are short: JIT compilation would take longer than the statement itself.
  jit: 'off',
  // Every message inserts and deletes a staged row. So vacuum must start early, run often and run at full speed.
  autovacuum_naptime: '10s',
  autovacuum_vacuum_scale_factor: '0.02',
  autovacuum_vacuum_insert_scale_factor: '0.1',
  autovacuum_analyze_scale_factor: '0.02',
  autovacuum_vacuum_cost_limit: '2000',
  // An idle open transaction would block vacuum and keep the row lock of a conversation.
  idle_in_transaction_session_timeout: '30s',
  log_lock_waits: 'on',
  log_min_duration_statement: '1s',
  // Parameters are user ids, devices and ciphertext. So a slow or failed statement is logged without them.
  log_parameter_max_length: '0',
  log_parameter_max_length_on_error: '0',
  // The details of an error repeat stored values, for example the user id of a key that exists already.
  log_error_verbosity: 'terse',
  track_io_timing: 'on',
  timezone: 'UTC',
  log_timezone: 'UTC',
});

/** The settings as command line flags of `postgres`. */
export function postgresFlags(settings: Readonly<Record<string, string>> = postgresSettings): string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}
