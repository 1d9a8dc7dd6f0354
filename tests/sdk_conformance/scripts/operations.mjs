// What a client does with an execution: steered, answered, skipped, searched for, deleted.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { close, ended, executor, sdk, shown, steps, tasks, until, wait, waiting, workflow } from "./session.mjs";

const flow = workflow(
  "js_operations",
  sdk.waitTaskDuration("a_moment", "1s"),
  wait("for_somebody"),
  sdk.simpleTask("last", "js_nobody", {}),
);

// Terminated, retried, answered, run again from a task, restarted, paused and resumed.
async function steered(id) {
  await waiting(id, "for_somebody");
  await assert.rejects(executor.restart(id, false), /only one that ended can be restarted/);

  await executor.terminate(id, "testing");
  const stopped = await ended(id, "TERMINATED");
  assert.equal(stopped.reasonForIncompletion, "testing");
  assert.equal(stopped.tasks.at(-1).status, "CANCELED");

  await executor.retry(id, false);
  const task = await waiting(id, "for_somebody");
  await executor.updateTask(task.taskId, id, "COMPLETED", { greeting: "hello" });
  await waiting(id, "last", "SCHEDULED");
  assert.equal((await executor.getTask(task.taskId)).outputData.greeting, "hello");

  await executor.terminate(id, "before running it again");
  await executor.goBackToTask(id, (each) => each.referenceTaskName === "for_somebody" && each.status === "COMPLETED");
  await waiting(id, "for_somebody");

  await executor.terminate(id, "before a restart");
  await executor.restart(id, true);
  assert.equal((await shown(id)).length, 1);

  await executor.pause(id);
  assert.equal((await executor.getWorkflowStatus(id, true, true)).status, "PAUSED");
  await waiting(id, "a_moment", "COMPLETED");
  assert.equal((await shown(id)).length, 1, "a paused execution goes no further");
  await executor.resume(id);
  await waiting(id, "for_somebody");
}

// A task that was never scheduled is skipped; the WAIT is ended by its reference, and waited for.
async function skipped(id) {
  await executor.skipTasksFromWorkflow(id, "last", { taskOutput: { by: "hand" } });
  const whole = await executor.updateTaskSync("for_somebody", id, "COMPLETED", { ok: true });
  assert.equal(whole.workflowId, id);
  const statuses = Object.fromEntries(steps(await ended(id)));
  assert.deepEqual(statuses, { a_moment: "COMPLETED", for_somebody: "COMPLETED", last: "SKIPPED" });
}

// By search, and by correlation id.
async function found(correlation, id) {
  const query = `correlationId = "${correlation}"`;
  const hits = await executor.search(0, 100, query, "*");
  assert.deepEqual([hits.totalHits, hits.results.map((hit) => hit.workflowId)], [1, [id]]);
  const request = { workflowNames: ["js_operations"], correlationIds: [correlation] };
  const byId = await executor.getByCorrelationIds(request, true, true);
  assert.deepEqual(byId[correlation].map((each) => each.workflowId), [id]);
  const done = await tasks.search(0, 10, undefined, "*", `workflowId = "${id}" AND status = "COMPLETED"`);
  assert.ok(done.results.length >= 2, JSON.stringify(done));
}

const correlation = `order ${randomUUID()}`;
await flow.register(true);
const id = await flow.startWorkflow({ n: 1 }, correlation, 7);
assert.equal((await executor.getExecution(id)).priority, 7);
await steered(id);
await skipped(id);
await found(correlation, id);
await executor.deleteWorkflow(id);
await assert.rejects(executor.getExecution(id), /No such workflow/);

const started = await Promise.all(executor.startWorkflows([1, 2, 3].map((n) => ({ name: "js_operations", input: { n } }))));
assert.equal(new Set(started).size, 3);
const named = await executor.startWorkflowByName("js_operations", { n: 4 }, 1, "by name", 3);
for (const each of [...started, named]) {
  await executor.terminate(each, "enough");
  await until(async () => (await executor.getWorkflowStatus(each, false, false)).status === "TERMINATED");
}
close();
