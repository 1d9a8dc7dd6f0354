// Calls the service through the server's ingress: so many chains or naps, a hundred at once, or one fork.

const [ingress, workload, count] = [process.argv[2], process.argv[3], Number(process.argv[4])];

async function call(handler, body) {
  const answer = await fetch(`${ingress}/bench/${handler}`, {
    method: "POST",
    headers: body === undefined ? {} : { "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return answer.text();
}

const began = performance.now();
if (workload === "fan") {
  await call("fan", count);
} else {
  let left = count;
  const keepGoing = async () => {
    while (left-- > 0) await call(workload === "chains" ? "chain" : "nap");
  };
  await Promise.all(Array.from({ length: 100 }, keepGoing));
}
const steps = workload === "chains" ? count * 5 : count;
console.log(JSON.stringify({ steps, seconds: (performance.now() - began) / 1000 }));
