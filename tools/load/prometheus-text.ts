/**
 * Reads the metrics of a process in the Prometheus text format.
 * @returns each sample by its name with its labels, as they are written, and the sum over all labels by the name alone
 */
export function parseMetrics(text: string): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const end = line.lastIndexOf(' ');
    const sample = line.slice(0, end);
    const value = Number(line.slice(end + 1));
    if (!Number.isFinite(value)) continue;
    const [name = sample] = sample.split('{', 1);
    sums.set(name, (sums.get(name) ?? 0) + value);
    if (name !== sample) sums.set(sample, value);
  }
  return sums;
}
