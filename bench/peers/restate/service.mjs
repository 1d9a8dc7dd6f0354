// Restate: a handler is a durable function, `ctx.run` a step of it that is not done again. A fork is
// calls of another handler, which took a fifth to a third less time than as many `ctx.run` in one.

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
    padded: async (ctx, number) => String(number).padStart(200, "0"),
    fan: async (ctx, width) => {
      const calls = [];
      for (let number = 0; number < width; number++) {
        calls.push(ctx.serviceClient(bench).padded(number));
      }
      return (await restate.RestatePromise.all(calls)).length;
    },
  },
});

restate.serve({ services: [bench], port: Number(process.argv[2]) });
