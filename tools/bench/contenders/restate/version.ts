/** Version of the server; `server/package.json` names the same one. */
export const RESTATE_SERVER_VERSION = '1.7.12';
