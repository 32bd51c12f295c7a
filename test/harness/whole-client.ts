// What an app bundles: the client library, and ts-mls behind it.
export * from '../../client/index.ts';
export * from '../../client/ts-mls/index.ts';
