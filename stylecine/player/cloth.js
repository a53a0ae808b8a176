// Draws cloth over a frame, as cuda_ops/drape.h does.

import {PlayerError, Target, Texture} from "./gl.js";
import {decodeImage} from "./pack.js";

const MAX_KEYFRAMES = 32;

/** The decoded images of a pack's cloth, empty without cloth. Throws PlayerError. */
export function decodeClothImages({facts, tensors}) {
  const kinds = facts.cloth ? {background: facts.picture, matte: "image/png"} : {};
  const blobs = Object.entries(kinds).map(([name, type]) => new Blob([tensors[name].data], {type}));
  return Promise.all(blobs.map(decodeImage)).catch(() => {
    throw new PlayerError("The images of this loop cannot be read.");
  });
}

export class Cloth {
  /** facts, tensors, images: of one pack. */
  constructor(gl, programs, {width, height, period, cloth}, {knots, active}, [background, matte]) {
    const [gh, gw] = cloth.grid, [high, wide] = active.shape;
    const count = knots.shape[0] + 1;
    Object.assign(this, {programs, period, count, cycles: cloth.cycles, cell: cloth.cell});
    this.textures = {
      background: new Texture(gl, "RGBA8", width, height, background),
      matte: new Texture(gl, "R8", width, height, matte),
      tiles: new Texture(gl, "R8", wide, high, active.data),
    };
    this.keyframes = new Texture(gl, "RGBA32F", gw, gh, decodeKeyframes(knots, cloth), {layers: count});
    this.field = new Target(gl, gw, gh);
  }

  /** Draws the cloth at time t over a frame into a target or the canvas; rows of both count from the bottom. */
  draw(t, frame, photo, target) {
    const phase = t * this.cycles / this.period % 1;
    const weights = Array.from({length: MAX_KEYFRAMES}, (_, k) => keyframeWeight(k, this.count, phase));
    this.programs.CLOTH_FIELD.draw(this.field, {keyframes: this.keyframes, weights});
    this.programs.CLOTH.draw(target, {...this.textures, frame, photo, field: this.field, cell: this.cell});
  }

  dispose() { for (const part of [...Object.values(this.textures), this.keyframes, this.field]) part.dispose(); }
}

/** The weight of keyframe k, of `count` (even) in a period, in the trigonometric interpolation at a phase. */
function keyframeWeight(k, count, phase) {
  if (k >= count) return 0;
  const position = phase * count;
  if (Number.isInteger(position)) return Number(position === k);
  const angle = Math.PI * (position - k) / count;
  return Math.sin(count * angle) / (count * Math.tan(angle));
}

/** RGBA of the whole grid for each keyframe, the first 0, from quantised differences along the rows of a part of it. */
function decodeKeyframes({shape: [count, channels, rows, columns], data}, {grid: [gh, gw], at: [top, left], steps}) {
  const [position, gain] = steps;
  const keyframes = new Float32Array((count + 1) * gh * gw * 4), step = [position, position, gain];
  const row = new Int16Array(columns);
  for (let line = 0; line < count * channels * rows; line++) {
    row.set(data.subarray(line * columns, (line + 1) * columns));
    for (let x = 1; x < columns; x++) row[x] += row[x - 1];
    const k = Math.floor(line / (channels * rows)) + 1, channel = Math.floor(line / rows) % channels;
    const first = ((k * gh + top + line % rows) * gw + left) * 4 + channel;
    for (let x = 0; x < columns; x++) keyframes[first + 4 * x] = row[x] * step[channel];
  }
  return keyframes;
}
