// ONNX Runtime on the CPU, as a child of `luma bench` (protocol: scripts/bench/peer.lua).
//
//     node onnxruntime_peer.js MODULE N H W C LAYERS weights.f32 input.f32
//
// MODULE: where onnxruntime-node is.  LAYERS: "64,64,p,128": 3x3 convolutions with
// ReLU, 2x2 maxima.  weights.f32: w (3,3,c,k) and b of each layer in turn;
// input.f32: (n,h,w,c).  The model is written here: an .onnx file is protobuf.
"use strict";
const fs = require("fs");
const readline = require("readline");

const args = process.argv.slice(2);
const ort = require(args[0]);
const [n, h, w, c] = args.slice(1, 5).map(Number);
const [layers, weights_path, input_path] = args.slice(5);

// ---- arrays of numbers ----

function read(path) {
  const bytes = fs.readFileSync(path);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

const raw = (array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);

/** A copy of data, of four dimensions, with its axes in another order. */
function permute(data, dims, axes) {
  const strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
  const size = axes.map((a) => dims[a]), step = axes.map((a) => strides[a]);
  const out = new Float32Array(data.length);
  let at = 0;
  for (let i = 0; i < size[0]; i++)
    for (let j = 0; j < size[1]; j++)
      for (let k = 0; k < size[2]; k++)
        for (let l = 0; l < size[3]; l++)
          out[at++] = data[i * step[0] + j * step[1] + k * step[2] + l * step[3]];
  return out;
}

// ---- protobuf: a field is its number and kind, then a number or counted bytes ----

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push(128 + (value % 128));
  return Buffer.from([...bytes, value]);
}

const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);

/** A field of bytes: a string, or the fields of a message one after the other. */
function message(field, ...parts) {
  const body = Buffer.concat(parts.flat().map((p) => Buffer.from(p)));
  return Buffer.concat([varint(field * 8 + 2), varint(body.length), body]);
}

// ---- the model; the numbers of fields are those of onnx.proto ----

const FLOAT = 1, INTS = 7;

const ints = (name, values) => // AttributeProto: name, ints, type
  message(5, message(1, name), values.map((v) => number(8, v)), number(20, INTS));

const node = (type, inputs, output, ...attributes) => // NodeProto: input, output, op_type, attribute
  message(1, inputs.map((i) => message(1, i)), message(2, output), message(4, type), attributes);

const constant = (name, dims, data) => // TensorProto: dims, data_type, name, raw_data
  message(5, dims.map((d) => number(1, d)), number(2, FLOAT), message(8, name), message(9, raw(data)));

const port = (field, name, dims) => // ValueInfoProto: name, type { tensor_type { elem_type, shape { dim } } }
  message(field, message(1, name),
    message(2, message(1, number(1, FLOAT), message(2, dims.map((d) => message(1, number(1, d)))))));

/** The bytes of the network and the dimensions (n, c, h, w) of its result. */
function build() {
  const graph = [], weights = read(weights_path);
  let at = "x", taken = 0, dims = [n, c, h, w];
  const take = (count) => weights.subarray(taken, (taken += count));
  layers.split(",").forEach((layer, i) => {
    const [, inputs, height, width] = dims, y = "y" + i;
    if (layer === "p") {
      graph.push(node("MaxPool", [at], y, ints("kernel_shape", [2, 2]), ints("strides", [2, 2])));
      dims = [n, inputs, height >> 1, width >> 1];
    } else {
      const k = Number(layer);
      graph.push(constant("w" + i, [k, inputs, 3, 3], permute(take(9 * inputs * k), [3, 3, inputs, k], [3, 2, 0, 1])));
      graph.push(constant("b" + i, [k], take(k)));
      graph.push(node("Conv", [at, "w" + i, "b" + i], "z" + i, ints("pads", [1, 1, 1, 1])), node("Relu", ["z" + i], y));
      dims = [n, k, height, width];
    }
    at = y;
  });
  graph.push(message(2, "chain"), port(11, "x", [n, c, h, w]), port(12, at, dims));
  const opset = message(8, number(2, 13)); // ModelProto: ir_version, opset_import, graph
  return { model: Buffer.concat([number(1, 7), opset, message(7, graph)]), dims };
}

// ---- the child ----

async function main() {
  const { model, dims } = build();
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["cpu"],
    graphOptimizationLevel: "all",
    executionMode: "sequential",
    intraOpNumThreads: Number(process.env.OMP_NUM_THREADS || 1),
    interOpNumThreads: 1,
    logSeverityLevel: 3, // errors
    // Its threads wait by spinning; after a run they would go on for a while, on
    // the cores of whoever is measured next.
    extra: { session: { force_spinning_stop: "1" } },
  });
  const x = new ort.Tensor("float32", permute(read(input_path), [n, h, w, c], [0, 3, 1, 2]), [n, c, h, w]);
  // The result has its place beforehand: else the binding copies it.
  const y = new ort.Tensor("float32", new Float32Array(dims.reduce((a, b) => a * b)), dims);
  const run = () => session.run({ x }, { [session.outputNames[0]]: y });
  for (let i = 0; i < 3; i++) await run();
  console.log("ready ONNX Runtime", ort.env.versions.node);
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line === "run") {
      const start = performance.now();
      await run();
      console.log(performance.now() - start);
    } else if (line.startsWith("dump ")) {
      await run();
      fs.writeFileSync(line.slice(5), raw(permute(y.data, dims, [0, 2, 3, 1])));
      console.log("dumped");
    }
  }
}

main();
