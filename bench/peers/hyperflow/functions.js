// The function of every process: it gives what it was given. The first and the last tell the time.

let began = 0;

function pass(ins, outs, context, cb) {
  if (!began) began = Date.now();
  if (outs.length) outs[0].data = [{}];
  cb(null, outs);
}

function last(ins, outs, context, cb) {
  console.log(`TOOK ${(Date.now() - began) / 1000}`);
  cb(null, outs);
  setTimeout(() => process.exit(0), 500);
}

exports.pass = pass;
exports.last = last;
