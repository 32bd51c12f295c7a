// Everything is in tools/site/config.ts, which is compiled and checked like all code.
export { default } from '../../dist/tools/site/config.js';
