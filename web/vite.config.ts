import path from 'node:path';
import { defineConfig } from 'vite';

const root = import.meta.dirname;

/** The page of the web app and its service worker, into dist/web. The API serves them at /app/. */
export default defineConfig({
  root,
  base: '/app/',
  // No script of another module format, and nothing inline: the content policy of /app/ refuses both.
  build: {
    outDir: path.join(root, '..', 'dist', 'web'),
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: {
      // The MLS library asks Node.js 18 for it. No browser comes there.
      external: ['crypto'],
      input: { index: path.join(root, 'index.html'), 'service-worker': path.join(root, 'service-worker.ts') },
      output: {
        // The service worker keeps its name, so that browsers find the next version of it.
        entryFileNames: ({ name }) => (name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js'),
      },
    },
  },
});
