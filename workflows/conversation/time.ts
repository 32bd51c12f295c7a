/** RFC 3339. */
export function time(at: number): string {
  return new Date(at).toISOString();
}
