import type { EdgeToolName } from './catalogue.ts';

/** Environment variable in which `npm run test:edges` hands the paths of its tools to the tests: JSON, path by name. */
export const TOOLS_VARIABLE = 'PARLEY_EDGE_TOOLS';

/** The path of a tool; `undefined` where it cannot be had. Then the tests that need it are skipped. */
export function edgeTool(name: EdgeToolName): string | undefined {
  const paths = new Map(Object.entries(JSON.parse(process.env[TOOLS_VARIABLE] ?? '{}') as Record<string, string>));
  return paths.get(name);
}
