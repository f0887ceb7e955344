// The rules of the dashboard's code; its types are checked by tsc.
import js from "@eslint/js";
import globals from "globals";

const DASHBOARD = "shared/taskflow/dashboard";

export default [
  { ignores: ["**/*", `!${DASHBOARD}`, `!${DASHBOARD}/**`, `${DASHBOARD}/vendor/**`, "!*.config.js"] },
  js.configs.recommended,
  {
    files: [`${DASHBOARD}/js/**/*.js`],
    languageOptions: { globals: globals.browser },
  },
  {
    files: [`${DASHBOARD}/service-worker.js`],
    languageOptions: { globals: globals.serviceworker },
  },
  {
    rules: {
      "curly": "error",
      "eqeqeq": "error",
      "no-console": "error",
      "no-eval": "error",
      "no-implied-eval": "error",
      "no-param-reassign": "error",
      "no-restricted-properties": [
        "error",
        ...["innerHTML", "outerHTML", "insertAdjacentHTML"].map((property) => ({
          property,
          message: "What a user typed is shown as text: by a template.",
        })),
      ],
      "no-restricted-syntax": [
        "error",
        {
          selector: "ImportDeclaration[source.value=/unsafe-/]",
          message: "What a user typed is shown as text.",
        },
      ],
      "no-shadow": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
];
