// What every script of the JavaScript SDK needs: its clients, workers for a while, and waiting for what is to come.
// The SDK is looked up where it was installed: CONDUCTOR_SDK. The server is CONDUCTOR_SERVER_URL.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

export const sdk = createRequire(`${process.env.CONDUCTOR_SDK}/`)("@io-orkes/conductor-javascript");
export const clients = await sdk.OrkesClients.from();
export const executor = clients.getWorkflowClient();
export const metadata = clients.getMetadataClient();
export const tasks = clients.getTaskClient();

// A workflow made with the SDK's builder, not registered.
export function workflow(name, ...steps) {
  return new sdk.ConductorWorkflow(executor, name).add(steps);
}

// A WAIT task that somebody has to end.
export function wait(reference) {
  return { name: reference, taskReferenceName: reference, type: "WAIT", inputParameters: {} };
}

// What `look` gives once it gives something true.
export async function until(look, seconds = 30) {
  const late = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < late, `not within ${seconds} s`);
    await pause(50);
  }
}

// The execution with its tasks, once it has ended; with this status.
export async function ended(id, status = "COMPLETED") {
  const found = await until(async () => {
    const whole = await executor.getWorkflow(id, true);
    return ["RUNNING", "PAUSED"].includes(whole.status) ? null : whole;
  });
  assert.equal(found.status, status, found.reasonForIncompletion);
  return found;
}

// The newest task of this reference, once it has this status.
export function waiting(id, reference, status = "IN_PROGRESS") {
  return until(async () =>
    (await shown(id)).reverse().find((task) => task.referenceTaskName === reference && task.status === status),
  );
}

// The tasks of the execution, in their order.
export async function shown(id) {
  return (await executor.getWorkflow(id, true)).tasks;
}

// Reference and status of each task.
export function steps(whole) {
  return whole.tasks.map((task) => [task.referenceTaskName, task.status]);
}

// The functions by task name as the SDK's workers, until the body has ended.
export async function withWorkers(functions, body) {
  for (const [name, each] of Object.entries(functions)) {
    sdk.worker({ taskDefName: name, concurrency: 2, pollInterval: 50 })(each);
  }
  const handler = new sdk.TaskHandler({ client: clients.getClient(), scanForDecorated: true });
  await handler.startWorkers();
  try {
    await body();
  } finally {
    await handler.stopWorkers();
  }
}

// With keys the client renews its token for ever, and the process would not end.
export function close() {
  clients.getClient().stopBackgroundRefresh();
}
