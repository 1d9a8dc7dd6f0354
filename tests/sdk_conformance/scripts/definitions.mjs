// Task and workflow definitions: registered, changed, read, listed, refused and deleted.

import assert from "node:assert/strict";

import { close, metadata, workflow, sdk } from "./session.mjs";

async function tasks() {
  const full = {
    ...sdk.taskDefinition({ name: "js_defined", retryCount: 5, timeoutSeconds: 120 }),
    retryLogic: "EXPONENTIAL_BACKOFF",
    retryDelaySeconds: 2,
    responseTimeoutSeconds: 60,
    concurrentExecLimit: 3,
    rateLimitPerFrequency: 100,
    rateLimitFrequencyInSeconds: 10,
    inputKeys: ["a", "b"],
    description: "with all that a task can have",
  };
  await metadata.registerTask(full);
  const read = await metadata.getTask("js_defined");
  for (const [key, value] of Object.entries(full)) assert.deepEqual(read[key], value, key);

  await metadata.updateTask({ ...full, retryCount: 1 });
  assert.equal((await metadata.getTask("js_defined")).retryCount, 1);
  await metadata.registerTasks([sdk.taskDefinition({ name: "js_second" }), sdk.taskDefinition({ name: "js_third" })]);
  const names = (await metadata.getAllTaskDefs()).map((each) => each.name);
  for (const name of ["js_defined", "js_second", "js_third"]) assert.ok(names.includes(name), name);

  await metadata.unregisterTask("js_defined");
  await assert.rejects(metadata.getTask("js_defined"), /No such taskType found by name: js_defined/);
  await assert.rejects(metadata.updateTask(full), /js_defined/);
}

function defined(version, description) {
  return workflow("js_workflow", sdk.simpleTask("step", "js_step", { n: "${workflow.input.n}", nothing: null }))
    .version(version)
    .description(description)
    .inputParameters(["n"])
    .inputTemplate({ n: 1 })
    .outputParameters({ n: "${step.output.n}" })
    .toWorkflowDef();
}

async function workflows() {
  await metadata.registerWorkflowDef(defined(1, "first"), true);
  await metadata.registerWorkflowDef(defined(2, "second"), true);
  await assert.rejects(metadata.registerWorkflowDef(defined(2, "again"), false), /already exists/);
  await metadata.registerWorkflowDef(defined(2, "changed"), true);

  assert.equal((await metadata.getWorkflowDef("js_workflow", 1)).description, "first");
  const newest = await metadata.getWorkflowDef("js_workflow");
  assert.deepEqual([newest.version, newest.description], [2, "changed"]);
  assert.deepEqual(newest.tasks[0].inputParameters, { n: "${workflow.input.n}", nothing: null });
  assert.deepEqual(newest.outputParameters, { n: "${step.output.n}" });
  assert.deepEqual(newest.inputTemplate, { n: 1 });
  const listed = (await metadata.getAllWorkflowDefs()).filter((each) => each.name === "js_workflow");
  assert.deepEqual(listed.map((each) => each.version).sort(), [1, 2]);

  const wrong = { ...defined(3, "two of one name"), tasks: [...defined(3).tasks, ...defined(3).tasks] };
  await assert.rejects(metadata.registerWorkflowDef(wrong, true), /Validation failed/);
  await metadata.unregisterWorkflow("js_workflow", 2);
  assert.equal((await metadata.getWorkflowDef("js_workflow")).version, 1);
  await metadata.unregisterWorkflow("js_workflow", 1);
  await assert.rejects(metadata.getWorkflowDef("js_workflow", 1), /No such workflow/);
}

await tasks();
await workflows();
close();
