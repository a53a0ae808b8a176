// Reads a pack, as stylecine/output/web_pack.py writes it: a safetensors file with what a loop is made from.

import {PlayerError} from "./gl.js";

const FORMATS = [1, 2];  // 2: with cloth
const ARRAYS = {U8: Uint8Array, I16: Int16Array};

/** {facts, tensors} of an ArrayBuffer; tensors are {shape, data}. Throws PlayerError where it is no pack. */
export function unpacked(buffer) {
  let told, entries, start;
  try {
    start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
    ({__metadata__: told, ...entries} = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8))));
  } catch {
    throw new PlayerError("What was given to play is no loop of stylecine's.");
  }
  const facts = JSON.parse(told?.stylecine ?? "{}");
  if (!FORMATS.includes(facts.format)) {
    throw new PlayerError("This loop was made by another version of stylecine than this player; reload the page.");
  }
  const tensors = Object.entries(entries).map(([name, {dtype, shape, data_offsets: [from, to]}]) =>
    [name, {shape, data: new ARRAYS[dtype](buffer.slice(start + from, start + to))}]);
  return {facts, tensors: Object.fromEntries(tensors)};
}

/** A picture's own bytes, whatever the screen's colours are. */
export function decoded(blob) {
  return createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
}

/** Whole numbers as floats, `step` times as large. */
export function scaled(data, step) {
  return Float32Array.from(data, value => value * step);
}
