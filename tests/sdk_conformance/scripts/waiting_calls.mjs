// Calls that wait: execution to its end, until a task, no longer than told, every return strategy, state and variables.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { close, ended, executor, sdk, wait, waiting, workflow } from "./session.mjs";

const flow = workflow(
  "js_waiting",
  sdk.setVariableTask("named", { greeting: "hello ${workflow.input.name}" }),
  wait("answer"),
  sdk.simpleTask("never", "js_never_polled", {}),
).outputParameters({ greeting: "${workflow.variables.greeting}" });
const request = { name: "js_waiting", version: 1, input: { name: "Ada" } };

// Returned at the end, at the task that blocks, at the task that is named, and after the seconds.
async function execution() {
  const short = workflow("js_short", sdk.setVariableTask("set", { n: "${workflow.input.n}" })).outputParameters({
    n: "${workflow.variables.n}",
  });
  await short.register(true);
  const whole = await short.execute({ n: 3 });
  assert.deepEqual([whole.status, whole.output, whole.variables], ["COMPLETED", { n: 3 }, { n: 3 }]);

  const named = await flow.execute({ name: "Ada" }, "named");
  assert.equal(named.status, "RUNNING");
  assert.equal(named.variables.greeting, "hello Ada");
  const key = randomUUID();
  const first = await flow.execute({ name: "Ada" }, "named", randomUUID(), key, "RETURN_EXISTING");
  const again = await flow.execute({ name: "Ada" }, "named", randomUUID(), key, "RETURN_EXISTING");
  assert.equal(first.workflowId, again.workflowId);
  await assert.rejects(flow.execute({}, "named", randomUUID(), key, "FAIL"), /Failed to execute/);
  for (const each of [named, first]) await executor.terminate(each.workflowId, "enough");
}

// What of the execution comes back.
async function strategies() {
  for (const strategy of Object.values(sdk.ReturnStrategy)) {
    const answer = await executor.executeWorkflow(
      request, "js_waiting", 1, randomUUID(), "", 10, sdk.Consistency.DURABLE, strategy,
    );
    assert.equal(answer.responseType, strategy);
    assert.ok(answer.targetWorkflowId);
    if (strategy.startsWith("BLOCKING_TASK")) assert.equal(answer.referenceTaskName, "answer");
    else assert.equal(answer.getWorkflow().status, "RUNNING");
    await executor.terminate(answer.targetWorkflowId, "enough");
  }
}

// Signals, and a state that is changed from outside, with and without waiting for what comes of it.
async function changed() {
  const twice = workflow("js_changed", wait("first"), wait("second"), wait("third"));
  await twice.register(true);
  const id = await twice.startWorkflow({});
  await waiting(id, "first");
  const whole = await executor.updateVariables(id, { colour: "red" });
  assert.equal(whole.variables.colour, "red");
  await executor.signalAsync(id, "COMPLETED", { n: 1 });
  // this SDK puts what is given under a key of its own
  assert.deepEqual((await waiting(id, "first", "COMPLETED")).outputData.taskOutput, { n: 1 });
  await waiting(id, "second");
  const answer = await executor.signal(id, "COMPLETED", { n: 2 }, sdk.ReturnStrategy.BLOCKING_TASK);
  assert.deepEqual([answer.responseType, answer.referenceTaskName], ["BLOCKING_TASK", "third"]);

  const third = await waiting(id, "third");
  const taskResult = { workflowInstanceId: id, taskId: third.taskId, status: "COMPLETED", outputData: { n: 3 } };
  const update = { taskReferenceName: "third", taskResult, variables: { colour: "blue" } };
  const state = await executor.updateState(id, update, randomUUID(), undefined, 10);
  assert.deepEqual([state.status, state.variables.colour], ["COMPLETED", "blue"]);
  assert.equal((await ended(id)).tasks[2].outputData.n, 3);
}

await flow.register(true);
await execution();
await strategies();
await changed();
close();
