// The client of tasks: queues, who polls them, log lines, search, updates by reference.

import assert from "node:assert/strict";

import { close, ended, sdk, shown, tasks, until, wait, waiting, withWorkers, workflow } from "./session.mjs";

const QUEUE = "js_counted";
const flow = workflow("js_polled", wait("first"), sdk.simpleTask("second", QUEUE, {}));
await flow.register(true);
const ids = [];
for (const n of [1, 2, 3]) ids.push(await flow.startWorkflow({ n }));

assert.deepEqual(await tasks.getQueueSizeForTask([QUEUE]), { [QUEUE]: 0 });
for (const id of ids) {
  await waiting(id, "first");
  await tasks.updateTaskResult(id, "first", "COMPLETED", { half: true });
}
await until(async () => (await tasks.getQueueSizeForTask([QUEUE]))[QUEUE] === 3);
const second = (await shown(ids[0]))[1];
assert.equal((await tasks.getTask(second.taskId)).status, "SCHEDULED");

await tasks.addTaskLog(second.taskId, 'a line with "quotes" and ünicode');
const lines = await until(async () => {
  const found = await tasks.getTaskLogs(second.taskId);
  return found.length ? found : null;
});
assert.match(lines[0].log, /quotes" and ünicode/);

await withWorkers({ [QUEUE]: async () => ({ status: "COMPLETED", outputData: { by: "worker" } }) }, async () => {
  for (const id of ids) assert.deepEqual((await ended(id)).output, { by: "worker" });
});
assert.ok((await tasks.getTaskPollData(QUEUE)).some((row) => row.queueName === QUEUE));
const hits = await tasks.search(0, 10, undefined, "*", `taskType = "${QUEUE}" AND status = "COMPLETED"`);
assert.deepEqual(new Set(hits.results.map((hit) => hit.workflowId)), new Set(ids));
assert.equal(hits.totalHits, 3);
close();
