/** Words of PromQL that are neither metrics nor functions. */
const KEYWORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan', 'start', 'end']);
/** Its list in brackets names labels. */
const GROUPINGS = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g;

/** Names of metrics and of recorded numbers in an expression of PromQL. */
export function metricNames(expr: string): ReadonlySet<string> {
  const bare = expr
    .replaceAll(/\{[^}]*\}/g, ' ')
    .replaceAll(/\[[^\]]*\]/g, ' ')
    .replaceAll(GROUPINGS, ' ')
    .replaceAll(/"[^"]*"/g, ' ');
  const words = bare.matchAll(/(?<![\w.])[A-Za-z_][\w:]*(?!\w|\s*\()/g);
  return new Set([...words].map(([word]) => word).filter((word) => !KEYWORDS.has(word.toLowerCase())));
}

/** The metric whose samples have this name: a histogram has samples of three names. */
export function metricOf(sample: string, known: ReadonlySet<string>): string | undefined {
  if (known.has(sample)) return sample;
  const base = sample.replace(/_(?:bucket|sum|count)$/, '');
  return known.has(base) ? base : undefined;
}
