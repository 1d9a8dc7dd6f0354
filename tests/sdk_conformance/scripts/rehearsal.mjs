// A workflow tried on the server with outputs made up for its tasks (`/workflow/test`).

import assert from "node:assert/strict";

import { close, executor, sdk, steps, workflow } from "./session.mjs";

const flow = workflow(
  "js_rehearsed",
  sdk.httpTask("ask", { uri: "http://nowhere.invalid/", method: "GET" }),
  sdk.simpleTask("find", "js_find", {}),
  sdk.switchTask("where", "${find.output.city}", { Oslo: [sdk.simpleTask("near", "js_deliver", {})] }, [
    sdk.simpleTask("far", "js_deliver", {}),
  ]),
);
const run = await executor.testWorkflow({
  name: flow.getName(),
  version: flow.getVersion(),
  workflowDef: flow.toWorkflowDef(),
  taskRefToMockOutput: {
    ask: [{ status: "COMPLETED", output: { key: "made up" } }],
    find: [
      { status: "FAILED", output: { key: "no" } },
      { status: "COMPLETED", output: { city: "Oslo" } },
    ],
    near: [{ status: "COMPLETED", output: { key: "there" } }],
  },
});

assert.equal(run.status, "COMPLETED", run.reasonForIncompletion);
assert.deepEqual(steps(run), [
  ["ask", "COMPLETED"],
  ["find", "FAILED"],
  ["find", "COMPLETED"],
  ["where", "COMPLETED"],
  ["near", "COMPLETED"],
]);
assert.equal(run.tasks[0].outputData.key, "made up");
close();
