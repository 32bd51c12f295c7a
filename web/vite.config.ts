import path from 'node:path';
import { rolldown } from 'rolldown';
import { defineConfig, type Plugin } from 'vite';

const root = import.meta.dirname;
const outDir = path.join(root, '..', 'dist', 'web');
/** The MLS library asks Node.js 18 for it. No browser comes there. */
const external = ['crypto'];

/** Builds the service worker as one file: a service worker may not load others while it runs. Its name stays the same. */
function serviceWorker(): Plugin {
  return {
    name: 'service-worker',
    apply: 'build',
    async closeBundle() {
      const bundle = await rolldown({ input: path.join(root, 'service-worker.ts'), external, platform: 'browser' });
      const file = path.join(outDir, 'service-worker.js');
      await bundle.write({ file, format: 'iife', codeSplitting: false, minify: true });
      await bundle.close();
    },
  };
}

/** The page of the web app and its service worker, into dist/web. The API serves them at /app/. */
export default defineConfig({
  root,
  base: '/app/',
  plugins: [serviceWorker()],
  // Nothing is inline: the content policy of /app/ refuses it.
  build: {
    outDir,
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { external },
  },
});
