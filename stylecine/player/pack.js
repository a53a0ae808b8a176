// Reads a pack, the safetensors file that stylecine/output/web_pack.py writes.

import {PlayerError} from "./gl.js";

const FORMAT = 6;
const RENAMED = 4;  // the first format with today's names
// Names of arrays, facts and scales in older formats.
const OLD_NAMES = {
  ...{made_up: "plate", plate: "plate_digest", change: "crossfade", lift: "contrast_gain", roll: "swell"},
  ...{turns: "sub_cycles", cycles: "swell_cycles", knots: "keyframes"},
};
const ARRAYS = {U8: Uint8Array, I16: Int16Array, F32: Float32Array};

/** {facts, tensors} of an ArrayBuffer; a tensor is {shape, data}. Throws PlayerError if it is not a pack. */
export function readPack(buffer) {
  let metadata, entries, start;
  try {
    start = 8 + Number(new DataView(buffer).getBigUint64(0, true));
    ({__metadata__: metadata, ...entries} = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8))));
  } catch {
    throw new PlayerError("This is not a loop made by stylecine.");
  }
  const facts = JSON.parse(metadata?.stylecine ?? "{}");
  if (!facts.format) throw new PlayerError("This is not a loop made by stylecine.");
  if (facts.format > FORMAT) {
    throw new PlayerError("This loop was made by a newer version of stylecine; reload the page.");
  }
  const arrays = Object.entries(entries).map(([name, {dtype, shape, data_offsets: [from, to]}]) =>
    [name, {shape, data: new ARRAYS[dtype](buffer.slice(start + from, start + to))}]);
  const tensors = Object.fromEntries(arrays);
  if (facts.format >= RENAMED) return {facts, tensors};
  return {facts: {...renamed(facts), scales: renamed(facts.scales ?? {})}, tensors: renamed(tensors)};
}

function renamed(old) {
  return Object.fromEntries(Object.entries(old).map(([name, value]) => [OLD_NAMES[name] ?? name, value]));
}

/** An ImageBitmap with the image's own bytes, without conversion to the screen's colours. */
export function decodeImage(blob) {
  return createImageBitmap(blob, {colorSpaceConversion: "none", premultiplyAlpha: "none"});
}

/** The decoded images of a pack's cloth, plants and weather, as far as it has them, by name. Throws PlayerError. */
export async function decodeImages({facts, tensors}) {
  const types = {
    ...{background: facts.picture, matte: "image/png", distance: "image/png"},
    ...{plants_background: facts.picture, plants_matte: "image/png"},
  };
  const named = Object.entries(types).filter(([name]) => tensors[name]);
  try {
    const images = await Promise.all(named.map(([name, type]) => decodeImage(new Blob([tensors[name].data], {type}))));
    return Object.fromEntries(named.map(([name], i) => [name, images[i]]));
  } catch {
    throw new PlayerError("The images of this loop cannot be read.");
  }
}

/** Integers as floats, multiplied by `step`. */
export function dequantize(data, step) {
  const values = new Float32Array(data);  // many times as fast as Float32Array.from with a function
  for (let i = 0; i < values.length; i++) values[i] *= step;
  return values;
}
