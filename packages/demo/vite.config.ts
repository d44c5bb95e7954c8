import { defineConfig } from 'vite'

export default defineConfig({
  // The page's policy allows only what comes from its own server: no inline scripts, and images also as data.
  build: { target: 'es2022', modulePreload: { polyfill: false } },
})
