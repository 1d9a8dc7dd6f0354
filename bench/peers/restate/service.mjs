// Restate: a handler is a durable function, `ctx.run` a step of it that is not done again.

import * as restate from "@restatedev/restate-sdk";

// The SDK wants a newer Node for this alone.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new Promise((yes, no) => ([resolve, reject] = [yes, no]));
  return { promise, resolve, reject };
};

const bench = restate.service({
  name: "bench",
  handlers: {
    chain: async (ctx) => {
      for (let number = 0; number < 5; number++) {
        await ctx.run(`step-${number}`, () => number);
      }
    },
    nap: async (ctx) => {
      await ctx.run("nap", () => new Promise((yes) => setTimeout(yes, 10)));
    },
    fan: async (ctx, width) => {
      const steps = [];
      for (let number = 0; number < width; number++) {
        steps.push(ctx.run(`step-${number}`, () => String(number).padStart(200, "0")));
      }
      return (await restate.RestatePromise.all(steps)).length;
    },
  },
});

restate.serve({ services: [bench], port: Number(process.argv[2]) });
