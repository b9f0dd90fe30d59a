import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Names hold 16 digits of a hash, which the archive takes as leave to cache them for good (src/gateway/web_files.cpp); the nonce is put in
// its place with each answer (src/gateway/pages.cpp).
export default defineConfig({
  base: "/web/",
  plugins: [react()],
  html: { cspNonce: "FIDUCIAL-NONCE" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900, // kB, uncompressed; test/system/web_test.py holds the first script to 300 kB as it is sent
    modulePreload: { polyfill: false },
    rollupOptions: {
      output: {
        hashCharacters: "hex",
        entryFileNames: "assets/[name].[hash:16].js",
        chunkFileNames: "assets/[name].[hash:16].js",
        assetFileNames: "assets/[name].[hash:16][extname]",
      },
    },
  },
});
