// Workers that fail, are tried again, give up for good, and say that they are not done yet.

import assert from "node:assert/strict";

import { close, ended, metadata, sdk, steps, tasks, withWorkers, workflow } from "./session.mjs";

let tried = 0;
const functions = {
  js_fails: async ({ inputData }) => {
    throw new Error(`${inputData.key} failed`);
  },
  js_recovers: async () => {
    tried += 1;
    if (tried < 3) throw new Error(`not at the ${tried}. time`);
    return { status: "COMPLETED", outputData: { tried } };
  },
  js_gives_up: async ({ inputData }) => {
    throw new sdk.NonRetryableException(inputData.reason);
  },
  js_not_yet: async ({ pollCount }) => {
    if (pollCount > 1) return { status: "COMPLETED", outputData: { polls: pollCount } };
    sdk.getTaskContext().addLog("not yet");
    return { status: "IN_PROGRESS", callbackAfterSeconds: 1, outputData: { polls: pollCount } };
  },
};

async function started(name, input) {
  const flow = workflow(`${name}_flow`, sdk.simpleTask("only", name, input));
  await flow.register(true);
  return flow.startWorkflow({});
}

await metadata.registerTasks(
  Object.entries({ js_fails: 2, js_recovers: 2, js_gives_up: 5, js_not_yet: 0 }).map(([name, retryCount]) =>
    sdk.taskDefinition({ name, retryCount, retryDelaySeconds: 0, timeoutSeconds: 60, responseTimeoutSeconds: 30 }),
  ),
);
await withWorkers(functions, async () => {
  const failed = await ended(await started("js_fails", { key: "this" }), "FAILED");
  assert.deepEqual(steps(failed), Array(3).fill(["only", "FAILED"]));
  assert.deepEqual(failed.tasks.map((task) => task.retryCount), [0, 1, 2]);
  assert.match(failed.tasks[0].reasonForIncompletion, /this failed/);
  assert.match(failed.reasonForIncompletion, /this failed/);

  const recovered = await ended(await started("js_recovers", {}));
  assert.deepEqual(steps(recovered).map(([, status]) => status), ["FAILED", "FAILED", "COMPLETED"]);
  assert.deepEqual(recovered.output, { tried: 3 });

  const gaveUp = await ended(await started("js_gives_up", { reason: "no such account" }), "FAILED");
  assert.deepEqual(steps(gaveUp), [["only", "FAILED_WITH_TERMINAL_ERROR"]]);
  assert.match(gaveUp.reasonForIncompletion, /no such account/);

  const cameBack = await ended(await started("js_not_yet", {}));
  assert.deepEqual(cameBack.output, { polls: 2 });
  const told = await tasks.getTaskLogs(cameBack.tasks[0].taskId);
  assert.ok(told.some((line) => line.log.includes("not yet")), JSON.stringify(told));
});
close();
