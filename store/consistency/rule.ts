/** What must always hold of the stored rows. A row for which `broken` is true is a finding. */
export interface Rule {
  /** Stands in findings, in the log and in docs/explanation/consistency.md. */
  readonly name: string;
  /** Number in docs/explanation/invariants.md; absent = what the service needs beside them. */
  readonly invariant?: number;
  /** What holds, in one sentence. */
  readonly about: string;
  /** SQL over the row `x` of the pass; null = not broken. */
  readonly broken: string;
  /** Columns of `x` that a finding shows. */
  readonly shows: readonly string[];
}

/** One reading of some rows, for all rules about them. */
export interface Pass {
  /** SQL of the rows, each with a column `conversation`. The parameters are those of the subject. */
  readonly rows: string;
  readonly rules: readonly Rule[];
}

/** Findings of one rule that a statement returns. It counts the others. */
const SHOWN = 100;

/** The statement that finds the rows of a pass that break a rule: {conversation, rule, details, found}. */
export function findBroken({ rows, rules }: Pass): string {
  const cases = rules.map(({ name, broken, shows }) => {
    const details = shows.map((column) => `'${column}', x."${column}"`).join(', ');
    return `('${name}', (${broken}), jsonb_strip_nulls(jsonb_build_object(${details})))`;
  });
  // Only sound rows are many: rules are told apart for the others.
  return `
    select conversation, rule, details, found from (
      select x.conversation, r.rule, r.details, count(*) over (partition by r.rule) as found,
        row_number() over (partition by r.rule order by x.conversation) as n
      from (select * from (${rows}) x where ${rules.map(({ broken }) => `(${broken})`).join(' or ')} offset 0) x
      cross join lateral (values ${cases.join(',\n        ')}) r (rule, broken, details)
      where r.broken) f
    where n <= ${SHOWN}`;
}
