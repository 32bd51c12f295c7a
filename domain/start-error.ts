/** Why a process cannot start, in a sentence for the person who starts it: what is wrong, and how to mend it. It needs no stack. */
export class StartError extends Error {
  override readonly name: string = 'StartError';
}
