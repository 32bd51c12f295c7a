import { readFileSync } from 'node:fs';
import path from 'node:path';
import { z } from 'zod';

/** A request to a running service and its answer, as `npm run examples` recorded them. */
const Example = z.strictObject({
  /** OpenAPI operationId. */
  operation: z.string(),
  /** Whose token it has; `operator` has the scope of operators. Absent: none. */
  as: z.string().optional(),
  /** The claim `device` of the token. */
  device: z.string().optional(),
  params: z.record(z.string(), z.string()).optional(),
  query: z.record(z.string(), z.string()).optional(),
  body: z.record(z.string(), z.unknown()).optional(),
  status: z.number().int(),
  /** JSON, or the text of another type. Absent: the answer has no body, or one too long for a documentation. */
  answer: z.unknown().optional(),
});
export type Example = z.infer<typeof Example>;

/** The run from which the examples of the API reference come: requests in the order in which they work on an empty service. */
export const EXAMPLES_FILE = path.join('reference', 'api-examples.json');

/** @param docsFolder with {@link EXAMPLES_FILE} @throws Error if the file is missing or has another form */
export function readExamples(docsFolder: string): Example[] {
  return z.array(Example).parse(JSON.parse(readFileSync(path.join(docsFolder, EXAMPLES_FILE), 'utf8')));
}
