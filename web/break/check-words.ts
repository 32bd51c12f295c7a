import { MOST_COMPARED, type Verdict } from './check.ts';

/** What was counted. */
export function countWords({ sent, inLog, waiting, read, isWhole }: Verdict): string {
  const of = isWhole ? '' : `of the newest ${MOST_COMPARED.toLocaleString('en')}: `;
  const wait = waiting === 0 ? '' : `, ${waiting} ${waiting === 1 ? 'waits' : 'wait'}`;
  return `${of}${sent} sent by this device · ${inLog} in the log${wait} · ${read} read here`;
}

/** Only what is wrong, or that nothing is. */
export function wrongWords({ lost, doubled, disordered }: Verdict): string {
  const wrong = [
    ...(lost === 0 ? [] : [`${lost} lost`]),
    ...(doubled === 0 ? [] : [`${doubled} doubled`]),
    ...(disordered === 0 ? [] : [`${disordered} out of order`]),
  ];
  return wrong.length === 0 ? 'nothing lost, doubled or out of order' : wrong.join(', ');
}
