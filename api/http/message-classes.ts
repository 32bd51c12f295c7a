import { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express } from 'express';

/** The classes of which Node's HTTP server makes requests and responses. */
export interface MessageClasses {
  readonly IncomingMessage: typeof IncomingMessage;
  readonly ServerResponse: typeof ServerResponse;
}

/**
 * Makes requests and responses that are Express's own from the start.
 *
 * Express gives each request and response another prototype when it arrives. V8 makes an object slow whose prototype changes,
 * and all that Node and the service do with it afterwards (`docs/explanation/performance.md`). Here it has the prototype
 * already, so that nothing changes. A server without these classes works as well.
 */
export function makeMessageClasses(app: Express): MessageClasses {
  class ApiRequest extends IncomingMessage {}
  class ApiResponse<R extends IncomingMessage = IncomingMessage> extends ServerResponse<R> {}
  app.request = copyOnto(ApiRequest.prototype, express.request, app.request);
  app.response = copyOnto(ApiResponse.prototype, express.response, app.response);
  return { IncomingMessage: ApiRequest, ServerResponse: ApiResponse };
}

/** Copies methods and getters. A longer chain of prototypes would cost a little in each access. */
function copyOnto<T extends object>(prototype: object, ...from: T[]): T {
  for (const one of from) Object.defineProperties(prototype, Object.getOwnPropertyDescriptors(one));
  return prototype as T;
}
