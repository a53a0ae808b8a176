// Reads a pack, the safetensors file that stylecine/output/web_pack.py writes.

import {PlayerError} from "./gl.js";

const FORMAT = 9;
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
  if (facts.format !== FORMAT) {
    throw new PlayerError("This loop was made by another version of stylecine; reload the page.");
  }
  const arrays = Object.entries(entries).map(([name, {dtype, shape, data_offsets: [from, to]}]) =>
    [name, {shape, data: new ARRAYS[dtype](buffer.slice(start + from, start + to))}]);
  return {facts, tensors: Object.fromEntries(arrays)};
}

/** What a pack has of one of its overlays, out of tensors or images by their names. */
export function ofOverlay(named, number) {
  const prefix = `overlays.${number}.`, own = Object.entries(named).filter(([name]) => name.startsWith(prefix));
  return Object.fromEntries(own.map(([name, value]) => [name.slice(prefix.length), value]));
}

/** ImageBitmaps with the images' own bytes, without conversion to the screen's colours: of all, or PlayerError. */
export async function decodeAll(blobs) {
  const options = {colorSpaceConversion: "none", premultiplyAlpha: "none"};
  const images = await Promise.allSettled(blobs.map(blob => createImageBitmap(blob, options)));
  if (images.every(({value}) => value)) return images.map(({value}) => value);
  for (const {value} of images) value?.close();
  throw new PlayerError("The images of this loop cannot be read.");
}

/** The decoded images of a pack's overlays, weather and cover, by name. Throws PlayerError. */
export async function decodeImages({facts, tensors}) {
  const types = {background: facts.picture, matte: "image/png", distance: "image/png", cover: "image/png"};
  const named = Object.keys(tensors).map(name => [name, types[name.split(".").at(-1)]]).filter(([, type]) => type);
  const images = await decodeAll(named.map(([name, type]) => new Blob([tensors[name].data], {type})));
  return Object.fromEntries(named.map(([name], i) => [name, images[i]]));
}

/** Integers as floats, multiplied by `step`. */
export function dequantize(data, step) {
  const values = new Float32Array(data);  // many times as fast as Float32Array.from with a function
  for (let i = 0; i < values.length; i++) values[i] *= step;
  return values;
}
