import { PROBLEMS, type ProblemCode } from '../../../domain/errors.ts';
import type { Api, Operation } from '../../../tools/fuzz/document.ts';
import { isObject, violations } from '../../../tools/fuzz/json-schema.ts';
import type { FuzzAnswer } from './sender.ts';

const PROBLEM_TYPE = 'application/problem+json';
/** Statuses whose answers have no body. */
const EMPTY = new Set([204, 304]);

/** Everything in an answer that the document does not allow. `operation`: the one of the request's method and path. */
export function undocumented(api: Api, operation: Operation | undefined, answer: FuzzAnswer): string[] {
  const problems: string[] = [];
  const { status, headers, text } = answer;
  const [mediaType = ''] = (headers['content-type'] ?? '').split(';');
  if (headers['x-request-id'] === undefined) problems.push('has no X-Request-Id');
  if (status >= 500) problems.push(`is ${status}: ${text.slice(0, 300)}`);
  const body = mediaType.endsWith('json') ? parse(text) : undefined;
  if (mediaType === PROBLEM_TYPE) problems.push(...problemFaults(api, answer, body));
  if (operation === undefined) {
    if (mediaType !== PROBLEM_TYPE) problems.push(`is ${status} ${mediaType}, though nothing is there`);
    return problems;
  }
  const documented = operation.answers.get(status);
  if (documented === undefined) return [...problems, `has the undocumented status ${status}: ${text.slice(0, 300)}`];
  if (mediaType === PROBLEM_TYPE && isObject(body) && !documented.codes.has(String(body.code)))
    problems.push(`has the code ${String(body.code)}, which is not listed for ${status}`);
  const types = Object.keys(documented.content);
  if (types.length === 0) {
    if (text !== '') problems.push(`has a body, though ${status} has none`);
  } else if (!EMPTY.has(status)) {
    const type = types.find((one) => one.split(';')[0] === mediaType);
    if (type === undefined) problems.push(`has the undocumented media type ${mediaType}`);
    const schema = type === undefined ? undefined : documented.content[type];
    if (schema !== undefined && mediaType.endsWith('json'))
      problems.push(...violations(schema, body, { schemas: api.schemas, closed: true }));
  }
  return problems;
}

function problemFaults({ schemas }: Api, { status, headers }: FuzzAnswer, body: unknown): string[] {
  const faults = violations({ $ref: '#/components/schemas/Problem' }, body, { schemas });
  if (!isObject(body)) return faults;
  const known = (PROBLEMS as Record<string, (typeof PROBLEMS)[ProblemCode] | undefined>)[String(body.code)];
  if (known?.status !== status || body.status !== status)
    faults.push(`is ${status} with the code ${String(body.code)}`);
  if (body.requestId !== headers['x-request-id']) faults.push('has two request ids');
  if ((status === 429 || status === 503) && !/^\d+$/.test(headers['retry-after'] ?? ''))
    faults.push('has no Retry-After');
  return faults;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
