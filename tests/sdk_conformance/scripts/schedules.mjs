// Schedules as the SDK's client keeps them: saved, read, paused, resumed, told ahead, deleted.

import assert from "node:assert/strict";

import { clients, close, sdk, workflow } from "./session.mjs";

const YEARLY = "0 0 12 1 1 ?";
const schedules = clients.getSchedulerClient();
await workflow("js_scheduled", sdk.setVariableTask("set", {})).register(true);
await schedules.saveSchedule({
  name: "js_yearly",
  cronExpression: YEARLY,
  startWorkflowRequest: { name: "js_scheduled", version: 1, input: { n: 1 } },
});

assert.equal((await schedules.getSchedule("js_yearly")).cronExpression, YEARLY);
assert.deepEqual((await schedules.getAllSchedules("js_scheduled")).map((each) => each.name), ["js_yearly"]);
const ahead = await schedules.getNextFewSchedules(YEARLY, undefined, undefined, 3);
assert.equal(ahead.length, 3);
assert.deepEqual(ahead, [...ahead].sort((one, other) => one - other));

await schedules.pauseSchedule("js_yearly");
assert.equal((await schedules.getSchedule("js_yearly")).paused, true);
await schedules.resumeSchedule("js_yearly");
assert.equal((await schedules.getSchedule("js_yearly")).paused, false);
assert.equal((await schedules.search(0, 10, "", "*", 'scheduleName = "js_yearly"')).totalHits, 0);
await schedules.deleteSchedule("js_yearly");
assert.deepEqual(await schedules.getAllSchedules("js_scheduled"), []);
await assert.rejects(schedules.getSchedule("js_yearly"), /js_yearly/);
close();
