import { build } from "esbuild";

await build({
  entryPoints: ["src/main.ts"],
  outfile: "../custom_components/magicpi_nvr/frontend/magicpi-timeline-card.js",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "eof",
  tsconfigRaw: { compilerOptions: { useDefineForClassFields: false } },
});
