// ts-mls as the MLS library of the client. An app gives `tsMls` to its device, and has ts-mls among its dependencies.
export { tsMls } from './ts-mls-library.ts';
