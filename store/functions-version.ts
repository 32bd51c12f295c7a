/**
 * Version of the set of SQL functions: raised by one in each release that changes a function. A database that has a later
 * version keeps it (`migrate` refuses). Release 0.1.0 had no number and counts as 1.
 */
export const FUNCTIONS_VERSION = 5;
