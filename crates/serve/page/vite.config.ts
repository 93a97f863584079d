import { defineConfig, loadEnv } from 'vite'

export default defineConfig(({ mode }) => ({
  base: './',
  // NiiVue also reads Zarr, with 1.4 MB of codecs; the server sends NIfTI only.
  resolve: { alias: [{ find: /^numcodecs\/(blosc|lz4|zstd)$/, replacement: new URL('src/viewer/noCodec.ts', import.meta.url).pathname }] },
  build: {
    // The notices of what is in the bundle go with it.
    license: { fileName: 'licenses.txt' },
    target: 'es2022',
    modulePreload: { polyfill: false },
    // The viewer is one large chunk on purpose: it is loaded after the first view.
    chunkSizeWarningLimit: 4000,
    // The content security policy allows no data: fonts or scripts, so nothing is inlined.
    assetsInlineLimit: 0,
  },
  // The server refuses pages of other origins, so the proxy leaves `Host` as it is: equal to `Origin`.
  server: { proxy: { '/api': { target: loadEnv(mode, '.', 'BIPVL_').BIPVL_SERVER ?? 'http://127.0.0.1:8000', changeOrigin: false } } },
}))
