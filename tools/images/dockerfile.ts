/** One stage of a Dockerfile. */
export interface Stage {
  /** Image, or name of an earlier stage, that it starts from. */
  readonly from: string;
  readonly name: string | undefined;
  readonly instructions: readonly { readonly keyword: string; readonly argument: string }[];
}

/** Reads the stages of a Dockerfile: comments are dropped, and continued lines are joined. */
export function stagesOf(dockerfile: string): Stage[] {
  const lines = dockerfile
    .split('\n')
    .filter((line) => !line.trimStart().startsWith('#'))
    .join('\n')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '');
  const stages: (Stage & { instructions: { keyword: string; argument: string }[] })[] = [];
  for (const line of lines) {
    const [keyword = '', ...rest] = line.trim().split(/\s+/);
    const argument = rest.join(' ');
    const stage = stages.at(-1);
    if (keyword === 'FROM') {
      const [from = '', , name] = rest;
      stages.push({ from, name, instructions: [] });
    } else if (stage !== undefined) stage.instructions.push({ keyword, argument });
  }
  return stages;
}
