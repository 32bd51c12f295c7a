/** A program that some tests need and that npm cannot install. Versions are fixed where the source allows it. */
export interface EdgeTool {
  /** Name of the program. */
  readonly name: string;
  /** What is not tested without it. */
  readonly why: string;
  readonly source:
    | {
        readonly kind: 'debian';
        readonly package: string;
        readonly path: string;
        /** Packages with shared libraries that the system may lack. */
        readonly libraries?: readonly string[];
        /** Also whatever else it depends on that the system lacks: for a program with dozens of libraries. */
        readonly withDependencies?: true;
        /** Another release of Debian, whose packages then bring all of their libraries and the loader too. @default that of the system */
        readonly release?: string;
      }
    | { readonly kind: 'go'; readonly version: string; readonly package: string }
    | { readonly kind: 'pip'; readonly requirement: string }
    /** A program of this repository in Rust. */
    | { readonly kind: 'cargo' };
}

const TEMPORAL = 'go.temporal.io/server';
/** That of the server in `temporalCli` (local/temporal-programs.ts). */
const TEMPORAL_VERSION = 'v1.32.0';

export const EDGE_TOOLS = [
  {
    name: 'promtool',
    why: 'that each alert fires and keeps silent',
    source: { kind: 'debian', package: 'prometheus', path: 'usr/bin/promtool' },
  },
  {
    name: 'prometheus',
    why: 'alerts and dashboards with a real Prometheus',
    source: { kind: 'debian', package: 'prometheus', path: 'usr/bin/prometheus' },
  },
  {
    name: 'haproxy',
    why: 'that the proxy of docker-compose.yml spreads requests and leaves streams alone',
    source: {
      kind: 'debian',
      package: 'haproxy',
      path: 'usr/sbin/haproxy',
      libraries: ['liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1'],
    },
  },
  {
    name: 'chromium',
    why: 'pages: the API reference, streams with EventSource, and the client library as it is packed',
    source: {
      kind: 'debian',
      package: 'chromium-headless-shell',
      path: 'usr/lib/chromium/chromium-headless-shell',
      libraries: ['chromium-common'],
      withDependencies: true,
    },
  },
  {
    name: 'nginx',
    why: 'streams, commands and HTTP/2 behind nginx',
    source: { kind: 'debian', package: 'nginx', path: 'usr/sbin/nginx', libraries: ['libpcre2-8-0'] },
  },
  {
    name: 'pgbouncer-1.18',
    why: 'a pooler that keeps no prepared statements',
    source: {
      kind: 'debian',
      package: 'pgbouncer',
      path: 'usr/sbin/pgbouncer',
      libraries: ['libc-ares2', 'libevent-2.1-7'],
    },
  },
  {
    name: 'pgbouncer-1.24',
    why: 'a pooler in transaction mode that keeps prepared statements',
    source: {
      kind: 'debian',
      package: 'pgbouncer',
      path: 'usr/sbin/pgbouncer',
      release: 'trixie',
      libraries: [
        'libc6',
        'libcares2',
        'libevent-2.1-7t64',
        'libpam0g',
        'libaudit1',
        'libcap-ng0',
        'libssl3t64',
        'libsystemd0',
        'libcap2',
        'libzstd1',
        'zlib1g',
      ],
    },
  },
  {
    name: 'docker-compose',
    why: 'that the compose files are valid, and what each container gets',
    source: {
      kind: 'go',
      version: 'v2.40.3',
      package: 'github.com/docker/compose/v2/cmd',
    },
  },
  {
    name: 'libfaketime',
    why: 'that a wrong clock makes its alert fire',
    source: {
      kind: 'debian',
      package: 'libfaketime',
      path: `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/faketime/libfaketimeMT.so.1`,
    },
  },
  {
    name: 'helm',
    why: 'that the chart renders',
    source: { kind: 'go', version: 'v3.22.0', package: 'helm.sh/helm/v3/cmd/helm' },
  },
  {
    name: 'kubernetes-validate',
    why: 'that what the chart renders is valid',
    source: { kind: 'pip', requirement: 'kubernetes-validate==1.37.0' },
  },
  {
    name: 'temporal-server',
    why: 'Temporal as a cluster',
    source: { kind: 'go', version: TEMPORAL_VERSION, package: `${TEMPORAL}/cmd/server` },
  },
  {
    name: 'temporal-sql-tool',
    why: 'Temporal as a cluster, for its tables',
    source: { kind: 'go', version: TEMPORAL_VERSION, package: `${TEMPORAL}/cmd/tools/sql` },
  },
  {
    name: 'parley-interop',
    why: 'one group of three MLS libraries',
    source: { kind: 'cargo' },
  },
] as const satisfies readonly EdgeTool[];

export type EdgeToolName = (typeof EDGE_TOOLS)[number]['name'];
