/**
 * The health check of a container: `node dist/ops/ask-ready.js VARIABLE STANDARD` ends with 0 if the process on the port in
 * that variable says that it is ready. The images have no curl.
 */
const [variable = '', standard = ''] = process.argv.slice(2);
const given = process.env[variable]?.trim() ?? '';
const port = given === '' ? standard : given;
const isReady = await fetch(`http://127.0.0.1:${port}/health/ready`).then(
  ({ ok }) => ok,
  () => false,
);
process.exit(isReady ? 0 : 1);
