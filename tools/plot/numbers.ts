const UNITS = [
  { from: 1e9, sign: 'G' },
  { from: 1e6, sign: 'M' },
  { from: 1e3, sign: 'k' },
] as const;

/** A number as people read it, with three digits at most: `0.25`, `17`, `1.5k`, `1M`. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  // Rounded first: 999.9 is 1k, and not 1000.
  const rounded = Number(value.toPrecision(3));
  const unit = UNITS.find(({ from }) => Math.abs(rounded) >= from);
  return unit === undefined ? String(rounded) : `${Number((rounded / unit.from).toPrecision(3))}${unit.sign}`;
}
