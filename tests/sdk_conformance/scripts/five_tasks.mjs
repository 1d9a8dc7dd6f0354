// A workflow of five tasks by workers of the JavaScript SDK, registered, executed and waited for.
// The SDK is looked up where it was installed: CONDUCTOR_SDK. The server is CONDUCTOR_SERVER_URL.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const { ConductorWorkflow, OrkesClients, TaskHandler, simpleTask, worker } = createRequire(
  `${process.env.CONDUCTOR_SDK}/`,
)("@io-orkes/conductor-javascript");

const done = (outputData) => ({ status: "COMPLETED", outputData });
const functions = {
  js_price: async ({ inputData: { item, count } }) => done({ result: item.length * count }),
  js_pack: async ({ inputData: { order } }) => done({ parcel: `${order.count} ${order.item}` }),
  js_label: async ({ inputData: { parcel } }) => done({ result: `[${parcel}]` }),
  js_stamp: async () => done({ result: null }),
  js_send: async ({ inputData }) => done({ sent: inputData.label, cost: inputData.cost }),
};
for (const [name, body] of Object.entries(functions)) {
  worker({ taskDefName: name, concurrency: 2, pollInterval: 50 })(body);
}

const clients = await OrkesClients.from();
const executor = clients.getWorkflowClient();
const workflow = new ConductorWorkflow(executor, "js_five_tasks")
  .add(simpleTask("price", "js_price", { item: "${workflow.input.order.item}", count: "${workflow.input.order.count}" }))
  .add(simpleTask("pack", "js_pack", { order: "${workflow.input.order}" }))
  .add(simpleTask("label", "js_label", { parcel: "${pack.output.parcel}" }))
  .add(simpleTask("stamp", "js_stamp", {}))
  .add(simpleTask("send", "js_send", { label: "${label.output.result}", cost: "${price.output.result}" }))
  .outputParameters({ sent: "${send.output.sent}", cost: "${send.output.cost}" });
await workflow.register(true);

const handler = new TaskHandler({ client: clients.getClient(), scanForDecorated: true });
await handler.startWorkers();
try {
  const run = await workflow.execute({ order: { item: "tea", count: 4 } });
  assert.equal(run.status, "COMPLETED");
  assert.deepEqual(run.output, { sent: "[4 tea]", cost: 12 });

  const whole = await executor.getWorkflow(run.workflowId, true);
  assert.deepEqual(
    whole.tasks.map((task) => [task.referenceTaskName, task.status]),
    ["price", "pack", "label", "stamp", "send"].map((name) => [name, "COMPLETED"]),
  );
  assert.equal(whole.tasks[3].outputData.result, null);
} finally {
  await handler.stopWorkers();
  clients.getClient().stopBackgroundRefresh(); // with keys it renews its token for ever
}
