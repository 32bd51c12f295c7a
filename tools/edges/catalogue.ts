/** A program that some tests need and that npm cannot install. Versions are fixed where the source allows it. */
export interface EdgeTool {
  /** Name of the program. */
  readonly name: string;
  /** What is not tested without it. */
  readonly why: string;
  readonly source:
    | { readonly kind: 'debian'; readonly package: string; readonly path: string }
    | { readonly kind: 'go'; readonly module: string; readonly version: string; readonly package: string }
    | { readonly kind: 'pip'; readonly requirement: string };
}

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
    source: { kind: 'go', module: 'helm.sh/helm/v3', version: 'v3.22.0', package: 'helm.sh/helm/v3/cmd/helm' },
  },
  {
    name: 'kubernetes-validate',
    why: 'that what the chart renders is valid',
    source: { kind: 'pip', requirement: 'kubernetes-validate==1.37.0' },
  },
] as const satisfies readonly EdgeTool[];

export type EdgeToolName = (typeof EDGE_TOOLS)[number]['name'];
