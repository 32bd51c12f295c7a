import { hasCode } from '../../../client/index.ts';
import type { Book } from '../load/ledger.ts';
import type { People } from '../load/people.ts';

/** Who is a member, and whose Welcomes wait: readable for those who are, withdrawn for those who were removed (invariants 6 and 8). */
export async function judgeMembers(people: People, book: Book, reader: string): Promise<string[]> {
  const problems: string[] = [];
  const { conversation, guests, residents } = book;
  const names: string[] = [];
  for (let cursor: string | undefined = ''; cursor !== undefined;) {
    const page = await people.patiently(reader).members(conversation, cursor === '' ? {} : { cursor });
    names.push(...page.members.map(({ user }) => user));
    cursor = page.next;
  }
  const expected = [
    ...residents,
    ...guests.filter(({ removedSeq }) => removedSeq === undefined).map(({ user }) => user),
  ];
  if (names.sort().join() !== expected.sort().join()) {
    problems.push(`the members are ${names.length} users, and not the ${expected.length} expected ones`);
  }
  for (const { user, removedSeq, welcome, joinedSeq } of guests) {
    const waiting = (await people.patiently(user).welcomes()).filter((one) => one.conversation === conversation);
    const bytes = waiting.map((one) => `${one.seq} ${one.welcome}`).join();
    const right = removedSeq !== undefined || welcome === undefined ? '' : `${joinedSeq} ${welcome}`;
    if (bytes !== right) problems.push(`${waiting.length} Welcomes wait for ${user}, who joined at ${joinedSeq}`);
    if (removedSeq === undefined) continue;
    const answer = await people
      .patiently(user)
      .conversation(conversation)
      .catch((error: unknown) => error);
    const mayRead = !hasCode(answer, 'not-found', 'removed') && (answer as { role?: string }).role !== 'removed';
    if (mayRead) problems.push(`${user} was removed at ${removedSeq}, and is still a member`);
  }
  return problems;
}
